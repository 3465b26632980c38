#pragma once
// TCP of sim-network: connections as two byte queues with a window, and the capability servers on top. In order and
// intact always; late while a node is cut. Owned through the capabilities its users hold. Knows nothing of policy.
#include <kj/refcount.h>

#include <list>

#include "daemons/netstackd/client-quota.h"
#include "idl/net.capnp.h"
#include "libs/nexus-net-os/base/wait-queue.h"
#include "tests/sim/sim-fabric.h"

namespace nexus::sim {

// One connection. Side 0 connected, side 1 accepted.
class TcpPair final : public kj::Refcounted {
 public:
  using Registry = std::list<TcpPair*>;  // all that live, in the order of their making

  TcpPair(Fabric& fabric, Registry& registry, Node& from, SocketAddress fromAddress, Node& to, SocketAddress toAddress);
  ~TcpPair() noexcept(false) { registry.erase(entry); }

  kj::Promise<void> send(kj::uint side, kj::Array<kj::byte> data);
  kj::Promise<kj::Array<kj::byte>> recv(kj::uint side, size_t maxBytes);
  void shutdown(kj::uint side);   // FIN after everything sent so far
  void drop(kj::uint side);       // the socket's user is gone: FIN, or RST when something was left unread
  void reset();                   // both sides fail from now on
  void refuse();                  // the accepting side will not be taken: a reset, if there is anybody to say it
  void vanish(const Node& node);  // the machine at that end is switched off, or its stack has died
  bool isReset() const { return broken; }
  bool touches(const Node& node) const { return &sides[0].node == &node || &sides[1].node == &node; }
  uint64_t number() const { return id; }  // as the wire is told it

  SocketAddress address(kj::uint side) const { return sides[side].address; }
  size_t readersWaiting(kj::uint side) const { return sides[side].readers.size(); }

 private:
  struct Segment {
    kj::Array<kj::byte> bytes;
    bool fin;
  };
  struct Side {
    Node& node;
    SocketAddress address;
    std::deque<Segment> inFlight{};  // towards this side
    std::deque<kj::Array<kj::byte>> received{};
    size_t taken = 0;      // of received.front()
    size_t unread = 0;     // bytes on the way to this side or received by it
    bool finSent = false;  // by this side
    bool finArrived = false;
    bool gone = false;
    bool vanished = false;
    kj::TimePoint lastArrival = kj::origin<kj::TimePoint>();  // at this side
    WaitQueue readers{}, writers{};
  };
  Fabric& fabric;
  Registry& registry;
  Registry::iterator entry;
  const uint64_t id;
  Side sides[2];
  bool broken = false;

  void transmit(kj::uint from, Segment segment);
  void arrive(kj::uint side);
};

// The socket capability of one side.
idl::TcpSocket::Client newTcpSocket(kj::Own<TcpPair> pair, kj::uint side, ClientQuota::Ticket ticket,
                                    const NetLimits& limits);

// A listening port: reachable through node.listeners while it lives.
class TcpListenerState final : public kj::Refcounted {
 public:
  TcpListenerState(Node& node, SocketAddress local, kj::uint backlog);
  ~TcpListenerState() noexcept(false) { close(); }

  bool accepts(const IpAddress& target) const { return local.address.isAny() || local.address == target; }
  bool isFull() const { return pending.size() >= backlog; }
  void offer(kj::Own<TcpPair> pair);
  kj::Promise<kj::Own<TcpPair>> accept();  // DISCONNECTED once closed
  void giveBack(kj::Own<TcpPair> pair);    // what accept() gave, to the front
  void close();

  const SocketAddress local;
  WaitQueue acceptors;

 private:
  Node& node;
  kj::uint backlog;
  bool closed = false;
  std::deque<kj::Own<TcpPair>> pending;
};

idl::TcpListener::Client newTcpListener(kj::Own<TcpListenerState> state, kj::Own<ClientQuota> quota,
                                        ClientQuota::Ticket ticket);

}  // namespace nexus::sim
