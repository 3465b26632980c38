#pragma once
// One listening TCP port and its queue of connections whose handshake is complete. Owned by whoever listens. Closing it
// resets the connections nobody accepted; those already accepted live on.
//
// The backlog bounds the queue: while it is full, a new SYN and the last ACK of a handshake are ignored and counted,
// and the peer tries again. Handshakes under way are bounded by 255 for each listener; beyond that the oldest gives way
// to the newest (counted), so that a flood of SYNs delays but does not stop those who answer within the time it takes
// to send 255 of them.
#include <deque>

#include "libs/nexus-net-os/base/wait-list.h"
#include "libs/nexus-net-os/base/wait-queue.h"
#include "libs/nexus-net-os/stack/accept-queue.h"
#include "libs/nexus-net-os/stack/tcp-conn.h"

namespace nexus {

class TcpListener final : private LwipStack::Member, private AcceptQueue {
 public:
  static constexpr uint16_t DEFAULT_BACKLOG = 128;
  static constexpr uint16_t MAX_BACKLOG = 1024;
  static constexpr uint16_t MIN_HALF_OPEN = 64, MAX_HALF_OPEN = 255;

  struct ListenResult {
    idl::Outcome outcome;           // ok, addressInUse, addressNotAvailable
    kj::Own<TcpListener> listener;  // null unless ok
  };

  // `any` as address listens on every address, port 0 on a random free port. backlog 0 is the default, larger than the
  // maximum is cut. OVERLOADED when no listening block is free.
  static ListenResult listen(LwipStack& stack, SocketAddress local, uint16_t backlog = 0);

  // Adopts a bound pcb that listens. For listen().
  TcpListener(LwipStack& stack, ::tcp_pcb* pcb, SocketAddress local, uint16_t backlog);
  ~TcpListener() noexcept(false) override;
  KJ_DISALLOW_COPY_AND_MOVE(TcpListener);

  SocketAddress localAddress() const { return local; }

  // The oldest connection that waits; null when there is none. DISCONNECTED after the stack was destroyed.
  kj::Maybe<kj::Own<TcpConn>> tryAccept();

  // Resolves when tryAccept() would find one.
  kj::Promise<void> whenAcceptable();

  // The two together.
  kj::Promise<kj::Own<TcpConn>> accept();

  size_t queued() const { return queue.size(); }

  // Handshakes under way.
  size_t halfOpen() const;

 private:
  struct Callbacks;
  friend struct Callbacks;

  LwipStack& stack;
  ::tcp_pcb* pcb;  // a tcp_pcb_listen; null once the stack is gone
  SocketAddress local;
  uint16_t backlog;
  std::deque<kj::Own<TcpConn>> queue;
  WaitList acceptable;
  WaitQueue acceptors;

  bool full() const noexcept override { return queue.size() >= backlog; }
  void stackGone() noexcept override;
};

}  // namespace nexus
