#pragma once
// A network in memory on virtual time: named nodes, each with a NetworkManager that its user cannot tell from
// netstackd's. For tests of whatever talks through NetworkManager. Same calls, same run: nothing here is random and
// ports are handed out in order.
//
//   SimClock clock;
//   SimNetwork network(clock.timer);
//   network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
//   auto manager = network.manager("node-a");     // give it to the daemon under test
//   network.cut("node-a");                        // unplug; connections stall, datagrams are lost
//
// Not here: openStream and mint (they need file descriptors), getConfig changes. Loss by chance is a Wire's doing.
#include "daemons/netstackd/net-policy.h"
#include "tests/sim/sim-tcp.h"
#include "tests/sim/sim-udp.h"

namespace nexus {

class SimNetwork {
 public:
  struct Options {
    kj::Duration latency = 1 * kj::MILLISECONDS;    // one way
    kj::Duration connectTimeout = 5 * kj::SECONDS;  // until an unanswered connect is timedOut
    NetLimits limits{};                             // of each client
  };

  explicit SimNetwork(kj::Timer& timer) : SimNetwork(timer, Options()) {}
  SimNetwork(kj::Timer& timer, Options options);
  ~SimNetwork() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(SimNetwork);

  void addNode(kj::StringPtr name, IpAddress address, kj::byte prefixLength = 24);

  // The network of that node for one more client, with limits of its own. Every capability must be dropped before the
  // SimNetwork.
  idl::NetworkManager::Client manager(kj::StringPtr node) { return manager(node, NetPolicy::allowEverything()); }
  idl::NetworkManager::Client manager(kj::StringPtr node, NetPolicy policy);

  // Nothing reaches the node or leaves it until heal(). Connections live on and catch up then; datagrams are lost; a
  // connect that is not answered in time is timedOut. The node still reaches itself.
  void cut(kj::StringPtr node);
  void heal(kj::StringPtr node);

  // A machine that loses power: its connections say nothing any more to the other ends, which are reset when they send
  // something after switchOn(). Its capabilities are to be dropped right after.
  void switchOff(kj::StringPtr node);
  void switchOn(kj::StringPtr node);

  // The stack of the node dies, as when netstackd is killed: every capability that came of its managers fails as
  // DISCONNECTED, calls under way too, and what its ports and connections were is gone without a word. The other ends
  // are reset when they send something after startStack(), which gives new managers. Meanwhile manager() is broken too.
  void stopStack(kj::StringPtr node);
  void startStack(kj::StringPtr node);
  bool hasStack(kj::StringPtr node);
  kj::Promise<void> whenStackLost(kj::StringPtr node);  // the present one; at once when there is none

  // From now on that wire decides (sim-fabric.h); it outlives the network. Tell when it reaches where it did not.
  void useWire(sim::Wire& wire);
  void retryLate();

  // Resets every connection of the node, as if both ends had got a RST.
  void killConnections(kj::StringPtr node);

  // Sees the payload of every segment and datagram, as a capture on the wire would.
  void tap(kj::Function<void(kj::ArrayPtr<const kj::byte>)> wiretap);

  struct Counters {
    uint64_t connects = 0, refused = 0, timedOut = 0, denied = 0;
  };
  const Counters& counters() const;
  const sim::UdpCounters& udpCounters() const;
  uint64_t datagramsLost() const;  // to or from a node that was cut
  kj::uint connectionCount() const;
  // As the wire is told them (sim-fabric.h).
  kj::Array<uint64_t> connectionsBetween(kj::StringPtr a, kj::StringPtr b);

 private:
  struct Impl;
  class ManagerImpl;
  class IcmpEchoImpl;
  class ListenAuthorityImpl;
  kj::Own<Impl> impl;
};

}  // namespace nexus
