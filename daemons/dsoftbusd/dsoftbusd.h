#pragma once
// One node of the bus: discovery, sessions, proxy and the capability, wired together and kept running while the network
// stack comes and goes. Owned by main, or by a test, which hands in the network, the services, time and randomness.
// Knows nothing of processes, sockets of the kernel's, or configuration files.
#include "daemons/dsoftbusd/bus-settings.h"
#include "daemons/dsoftbusd/bus.h"
#include "daemons/dsoftbusd/discovery.h"
#include "idl/bundlemgr.capnp.h"
#include "idl/dsoftbus.capnp.h"
#include "idl/net.capnp.h"
#include "idl/packagefs.capnp.h"
#include "idl/samgr.capnp.h"
#include "idl/statefs.capnp.h"
#include "idl/status.capnp.h"

namespace nexus {

// The stack of this node, which may be restarted.
class NetworkSource {
 public:
  virtual ~NetworkSource() noexcept(false) = default;

  // The stack as it is now.
  virtual idl::NetworkManager::Client get() = 0;

  // Resolves when what get() last returned is gone.
  virtual kj::Promise<void> whenLost() = 0;
};

class Dsoftbusd {
 public:
  struct Imports {
    NetworkSource& network;
    kj::Function<idl::Samgr::Client()> samgr;
    kj::Function<idl::Bundlemgr::Client()> bundlemgr;
    // A node may do without these two; calls to them are answered as backend failed.
    kj::Maybe<kj::Function<idl::Packagefs::Client()>> packagefs = nullptr;
    kj::Maybe<kj::Function<idl::Statefs::Client()>> statefs = nullptr;
  };

  // imports.network, timer, entropy and the observers outlive this.
  Dsoftbusd(BusSettings settings, Imports imports, kj::Timer& timer, Entropy& entropy, BusObserver& observer,
            RemoteProxyObserver& proxyObserver, LinkLimits limits = {});
  ~Dsoftbusd() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Dsoftbusd);

  // Never ends by itself. Whatever the stack does, it is opened again with back-off.
  kj::Promise<void> run();

  // Bus::applyTrust, and discovery is told.
  Bus::TrustChange applyTrust(kj::Array<TrustedPeer> peers);
  const TrustTable& trusted() const { return trust; }

  // For one client each.
  idl::DSoftBus::Client newBusClient();
  idl::Status::Client newStatusClient();

  Bus& sessions() { return bus; }
  const Discovery& peers() const { return discovery; }
  const AuditLog& audit() const { return auditLog; }

 private:
  class StatusServer;

  BusSettings settings;
  NetworkSource& network;
  kj::Timer& timer;
  BusObserver& observer;
  kj::TimePoint started;
  AuditLog auditLog;
  LivePolicy policy;
  RateLimiter rate;
  TrustTable trust;
  RemoteProxy proxy;
  LinkContext context;
  Bus bus;
  Discovery discovery;
  kj::String stackState;  // for the status: what the stack is doing
  uint64_t stacksOpened = 0;

  kj::Promise<void> runOnStack();
  kj::Promise<void> waitForAddress(idl::NetworkManager::Client net);
  kj::Promise<idl::TcpListener::Client> listen(idl::NetworkManager::Client net);
  void fillStatus(idl::DaemonStatus::Builder status);
};

}  // namespace nexus
