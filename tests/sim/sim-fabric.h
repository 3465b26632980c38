#pragma once
// The wire under sim-network: named nodes with addresses, latency on virtual time, cut and heal. Carries closures
// instead of packets; what is lost and what is only late is decided here. Owned by SimNetwork; knows nothing of TCP,
// UDP or capabilities.
#include <kj/async.h>
#include <kj/debug.h>
#include <kj/function.h>
#include <kj/map.h>
#include <kj/timer.h>

#include <deque>
#include <map>

#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus::sim {

class TcpListenerState;
class UdpPort;

struct Node {
  kj::String name;
  IpAddress address;
  kj::byte prefixLength;
  bool cut = false;
  uint16_t lastEphemeral = 49151;
  std::map<uint16_t, TcpListenerState*> listeners{};
  std::map<uint16_t, UdpPort*> udpPorts{};

  // The next port from 49152 up that is in neither table: the same in every run.
  uint16_t ephemeralPort();
};

class Fabric final : private kj::TaskSet::ErrorHandler {
 public:
  Fabric(kj::Timer& timer, kj::Duration latency) : timer(timer), latency(latency), tasks(*this) {}
  KJ_DISALLOW_COPY_AND_MOVE(Fabric);

  Node& add(kj::StringPtr name, IpAddress address, kj::byte prefixLength);
  Node& node(kj::StringPtr name);
  kj::Maybe<Node&> findAddress(const IpAddress& address);
  auto& allNodes() { return nodes; }

  void cut(Node& node) { node.cut = true; }
  // Late deliveries arrive one latency from now, in their order.
  void heal(Node& node);

  static bool connected(const Node& a, const Node& b) { return &a == &b || (!a.cut && !b.cut); }

  // Runs `deliver` after the latency, if the two nodes are connected then. If not: lost, counted.
  void sendUnreliable(Node& from, Node& to, kj::Function<void()> deliver);
  // The same, but what cannot be delivered waits for heal(), as a retransmission would.
  void sendReliable(Node& from, Node& to, kj::Function<void()> deliver);

  kj::Timer& timer;
  const kj::Duration latency;
  uint64_t lost = 0;

  // Sees every byte that leaves a node, in the order in which it leaves.
  kj::Maybe<kj::Function<void(kj::ArrayPtr<const kj::byte>)>> wiretap;
  void carry(kj::ArrayPtr<const kj::byte> bytes) {
    KJ_IF_MAYBE (tap, wiretap) (*tap)(bytes);
  }

 private:
  struct Late {
    Node& from;
    Node& to;
    kj::Function<void()> deliver;
  };
  std::deque<Node> nodes;  // never moves an element
  std::deque<Late> late;
  kj::TaskSet tasks;

  void taskFailed(kj::Exception&& exception) override { KJ_LOG(FATAL, "a simulated delivery failed", exception); }
};

}  // namespace nexus::sim
