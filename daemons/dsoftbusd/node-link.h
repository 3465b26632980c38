#pragma once
// One link of the node: a network stack, which may come and go, and what the bus has on it - the session listener, the
// transport for dials, discovery. Waits for an address, opens all of it, and starts over with back-off when the stack
// is lost. Owned by dsoftbusd, one for each configured link. Knows nothing of keys, peers or policy.
#include "daemons/dsoftbusd/bus/bus.h"
#include "daemons/dsoftbusd/discovery/discovery.h"
#include "idl/net.capnp.h"

namespace nexus {

// The stack of a link, which may be restarted.
class NetworkSource {
 public:
  virtual ~NetworkSource() noexcept(false) = default;

  // The stack as it is now.
  virtual idl::NetworkManager::Client get() = 0;

  // Resolves when what get() last returned is gone.
  virtual kj::Promise<void> whenLost() = 0;
};

class NodeLink {
 public:
  // index: the link's number at bus and discovery. lowLevel: for the bytes of sessions, see net-transport.h. All of
  // these outlive the link.
  NodeLink(size_t index, kj::StringPtr name, NetworkSource& network, uint16_t sessionPort, kj::Timer& timer, Bus& bus,
           Discovery& discovery, BusObserver& observer, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel = nullptr);
  KJ_DISALLOW_COPY_AND_MOVE(NodeLink);

  // Never ends by itself. Whatever the stack does, it is opened again, after 100 ms doubling to 3 s.
  kj::Promise<void> run();

  bool isUp() const { return up; }
  kj::StringPtr name() const { return linkName; }
  kj::StringPtr state() const { return stackState; }  // a clause for people
  uint64_t opened() const { return timesOpened; }     // how often everything was open

 private:
  size_t index;
  kj::StringPtr linkName;
  NetworkSource& network;
  uint16_t sessionPort;
  kj::Timer& timer;
  Bus& bus;
  Discovery& discovery;
  BusObserver& observer;
  kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
  kj::String stackState;
  bool up = false;
  uint64_t timesOpened = 0;

  kj::Promise<void> runOnStack();
  kj::Promise<void> waitForAddress(idl::NetworkManager::Client net);
  kj::Promise<idl::TcpListener::Client> listen(idl::NetworkManager::Client net);
};

}  // namespace nexus
