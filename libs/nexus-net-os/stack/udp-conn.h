#pragma once
// One bound UDP port. Owned by whoever bound it. Received datagrams are copied out of the stack's buffers and keep
// their boundaries; at most QUEUE of them wait, then the oldest gives way to the newest and is counted.
#include <kj/vector.h>

#include <deque>

#include "libs/nexus-net-os/base/wait-list.h"
#include "libs/nexus-net-os/base/wait-queue.h"
#include "libs/nexus-net-os/stack/lwip-stack.h"

struct udp_pcb;

namespace nexus {

class UdpConn final : private LwipStack::Member {
 public:
  static constexpr size_t QUEUE = 64;
  static constexpr size_t MAX_GROUPS = 8;
  static constexpr size_t MAX_PAYLOAD = 65507;  // over IPv4: 65535 less the IP and UDP headers

  struct Datagram {
    SocketAddress from;
    kj::Array<kj::byte> data;
  };

  struct BindResult {
    idl::Outcome outcome;   // ok, addressInUse, addressNotAvailable
    kj::Own<UdpConn> conn;  // null unless ok
  };

  // `any` as address receives for every address, broadcast and joined groups; port 0 is a random free port.
  // OVERLOADED when no block is free.
  static BindResult bind(LwipStack& stack, SocketAddress local, size_t queueLimit = QUEUE);

  // Adopts a bound pcb. For bind().
  UdpConn(LwipStack& stack, ::udp_pcb* pcb, SocketAddress local, size_t queueLimit);
  ~UdpConn() noexcept(false) override;
  KJ_DISALLOW_COPY_AND_MOVE(UdpConn);

  SocketAddress localAddress() const { return local; }

  // Sends one datagram, fragmented by IP where it must be. ok, or unreachable (no address or no route).
  // OVERLOADED when no buffer is free, FAILED for port 0, a missing address, or more than MAX_PAYLOAD bytes.
  idl::Outcome sendTo(SocketAddress to, kj::ArrayPtr<const kj::byte> data);

  // The oldest datagram that waits; null when there is none. DISCONNECTED after the stack was destroyed.
  kj::Maybe<Datagram> tryReceive();

  // Resolves when tryReceive() would find one. Dropping it loses nothing.
  kj::Promise<void> whenReceivable();

  // The two together.
  kj::Promise<Datagram> receive();

  // Joins a multicast group on the link (IGMPv2, MLDv1) for as long as this lives; joining twice is joining once.
  // FAILED unless a multicast address, OVERLOADED beyond MAX_GROUPS or when the stack has no group left.
  idl::Outcome joinGroup(IpAddress group);

  uint64_t dropped() const { return overflowed; }

 private:
  struct Callbacks;
  friend struct Callbacks;

  LwipStack& stack;
  ::udp_pcb* pcb;  // null once the stack is gone
  SocketAddress local;
  size_t queueLimit;
  std::deque<Datagram> queue;
  uint64_t overflowed = 0;
  kj::Vector<IpAddress> groups;
  WaitList receivable;
  WaitQueue receivers;

  void requireAlive();
  void stackGone() noexcept override;
};

}  // namespace nexus
