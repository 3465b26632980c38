#pragma once
// The wire under sim-network: named nodes with addresses, latency on virtual time, cut and heal. Carries closures
// instead of packets; what is lost and what is only late is decided here, or by the Wire that a test puts in. Owned by
// SimNetwork; knows nothing of TCP, UDP or capabilities.
#include <kj/async.h>
#include <kj/debug.h>
#include <kj/function.h>
#include <kj/map.h>
#include <kj/timer.h>
#include <kj/vector.h>

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
  bool down = false;       // switched off: what comes is not even refused
  bool stackless = false;  // nobody serves the stack: the same
  bool isDeaf() const { return down || stackless; }
  uint16_t lastEphemeral = 49151;
  std::map<uint16_t, TcpListenerState*> listeners{};
  std::map<uint16_t, UdpPort*> udpPorts{};

  // The next port from 49152 up that is in neither table: the same in every run.
  uint16_t ephemeralPort();
};

// What a test makes of the way between two nodes. The defaults: everything arrives, whole, in order, after `latency`.
// Each method is called once for what it is about, in the order of the run, so that a wire which draws random numbers
// repeats. Owned by the test; outlives the network.
class Wire {
 public:
  virtual ~Wire() noexcept(false) = default;

  // Whether anything gets from one node to the other at this moment; asked when it would arrive. What does not is lost
  // (datagrams) or waits for Fabric::retryLate (segments).
  virtual bool reaches(const Node& from, const Node& to) { return true; }

  // One datagram to one receiver. How long each copy takes; no copy is a loss.
  virtual void onDatagram(const Node& from, const Node& to, kj::ArrayPtr<const kj::byte> bytes, kj::Duration latency,
                          kj::Vector<kj::Duration>& copies) {
    copies.add(latency);
  }

  // One segment of a connection, which may be changed in place. How long it takes; none overtakes another.
  // side: 0 for the end that connected.
  virtual kj::Duration onSegment(uint64_t connection, kj::uint side, const Node& from, const Node& to,
                                 kj::ArrayPtr<kj::byte> bytes, kj::Duration latency) {
    return latency;
  }

  // The length of the next segment, 1 to most.
  virtual size_t segmentSize(size_t most) { return most; }

  // Something has arrived: a datagram (connection 0) or a segment.
  virtual void onArrival(uint64_t connection, const Node& from, const Node& to, size_t bytes) {}
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
  void retryLate();

  bool connected(const Node& from, const Node& to) {
    if (&from == &to) return true;
    if (from.cut || to.cut) return false;
    KJ_IF_MAYBE (w, wire) return w->reaches(from, to);
    return true;
  }

  // Runs `deliver` after the delay, if the one node reaches the other then. If not: lost, counted.
  void sendUnreliable(Node& from, Node& to, kj::Duration delay, kj::Function<void()> deliver);
  // The same, but what cannot be delivered waits for heal(), as a retransmission would.
  void sendReliable(Node& from, Node& to, kj::TimePoint at, kj::Function<void()> deliver);
  // One thing for many receivers at once.
  void later(kj::Function<void()> deliver);

  kj::Timer& timer;
  const kj::Duration latency;
  kj::Maybe<Wire&> wire;
  uint64_t lost = 0;
  uint64_t connections = 0;  // ever made; the number of the last one

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
