#pragma once
// One node of the bus: discovery, sessions, proxy and the capability, wired together and kept running while the network
// stacks of its links come and go. Owned by main, or by a test, which hands in the network, the services, time and
// randomness. Knows nothing of processes, sockets of the kernel's, or configuration files.
#include "daemons/dsoftbusd/bus-settings.h"
#include "daemons/dsoftbusd/bus/bus.h"
#include "daemons/dsoftbusd/discovery/discovery.h"
#include "daemons/dsoftbusd/node-link.h"
#include "daemons/dsoftbusd/pairing/pairer.h"
#include "daemons/dsoftbusd/resume/client-places.h"
#include "idl/bundlemgr.capnp.h"
#include "idl/dsoftbus.capnp.h"
#include "idl/net.capnp.h"
#include "idl/packagefs.capnp.h"
#include "idl/samgr.capnp.h"
#include "idl/statefs.capnp.h"
#include "idl/status.capnp.h"

namespace nexus {

class Dsoftbusd {
 public:
  struct Imports {
    kj::Array<NetworkSource*> networks;  // of the links, in the order of the settings
    kj::Function<idl::Samgr::Client()> samgr;
    kj::Function<idl::Bundlemgr::Client()> bundlemgr;
    // A node may do without these two; calls to them are answered as backend failed.
    kj::Maybe<kj::Function<idl::Packagefs::Client()>> packagefs = nullptr;
    kj::Maybe<kj::Function<idl::Statefs::Client()>> statefs = nullptr;
    kj::Maybe<TrustStore&> trustStore = nullptr;  // of the paired peers; without it none can be paired
    // The import of that name over its present connection, for settings.offers; not null if there are any.
    kj::Maybe<kj::Function<capnp::Capability::Client(kj::StringPtr)>> named = nullptr;
    // For the bytes of sessions; without it they go through calls (net-transport.h). Outlives the node.
    kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel = nullptr;
  };

  // calendar: wall-clock time, for people who read the audit records. imports.networks and trustStore, the clocks,
  // entropy and the observers outlive this. FAILED with a sentence when the trust store cannot be read or holds too
  // many peers.
  Dsoftbusd(BusSettings settings, Imports imports, kj::Timer& timer, const kj::Clock& calendar, Entropy& entropy,
            BusObserver& observer, RemoteProxyObserver& proxyObserver, LinkLimits limits = {});
  ~Dsoftbusd() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Dsoftbusd);

  // Never ends by itself. Whatever the stacks of the links do, they are opened again with back-off.
  kj::Promise<void> run();

  // The trust entries of a new configuration, in place of those of the old one; paired peers stay. As Bus::applyTrust.
  // FAILED with a sentence, with nothing changed, when there would be more than maxTrustedPeers in all.
  Bus::TrustChange applyTrust(kj::Array<TrustedPeer> configured);
  const TrustTable& trusted() const { return trust; }

  // For one client each.
  idl::DSoftBus::Client newBusClient();
  idl::Status::Client newStatusClient();
  idl::BusTrust::Client newTrustClient();

  const RpcCatalog& offers() const { return settings.offers; }
  Bus& sessions() { return bus; }
  const Discovery& peers() const { return discovery; }
  const AuditLog& audit() const { return auditLog; }
  AuditLog& audit() { return auditLog; }
  kj::StringPtr deviceId() const { return settings.identity.deviceId(); }

  // What may change while it runs.
  LivePolicy& livePolicy() { return policy; }
  void setRate(kj::uint perSecond, kj::uint burst) { rate.setLimits(perSecond, burst); }
  void announceServices(kj::Array<kj::String> services) { discovery.setServices(kj::mv(services)); }

  // Further counters of the status: calls its argument with each name (of static lifetime) and value.
  using AddCounter = kj::FunctionParam<void(kj::StringPtr name, uint64_t value)>;
  void addCounters(kj::Function<void(AddCounter)> counters) { moreCounters.add(kj::mv(counters)); }

 private:
  class StatusServer;

  BusSettings settings;
  kj::Timer& timer;
  kj::TimePoint started;
  AuditLog auditLog;
  LivePolicy policy;
  RateLimiter rate;
  TrustKeeper keeper;
  TrustTable trust;
  RemoteProxy proxy;
  kj::Function<capnp::Capability::Client(kj::StringPtr)> namedImport;
  RpcExporter exporter;
  LinkContext context;
  Bus bus;
  Discovery discovery;
  Pairer pairer;
  kj::Vector<kj::Function<void(AddCounter)>> moreCounters;
  kj::Vector<kj::Own<NodeLink>> links;
  kj::Own<ClientTotals> clients = kj::refcounted<ClientTotals>();

  Bus::TrustChange retrust();
  kj::Maybe<PairingHost::Route> findRoute(kj::StringPtr peer);
  void warnOfAbsentServices();
  template <typename Add>
  void addAllCounters(Add&& add);
  void fillStatus(idl::DaemonStatus::Builder status);
};

}  // namespace nexus
