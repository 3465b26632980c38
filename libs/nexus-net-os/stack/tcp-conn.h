#pragma once
// One TCP connection: lwIP's callbacks turned into promises. Owned by whoever connected or accepted it; its destructor
// closes it in order. Received data stays in the stack's buffers, and the window stays shut over it, until the owner
// takes it.
//
// Everything that waits is cancelled by dropping its promise. whenX() + tryX() lose nothing even when the cancellation
// races with the event; read() is the two together, and may lose what it has already taken if its promise is dropped
// after it was fulfilled.
//
// When the connection is reset, times out, or the stack goes away, every waiting and later call fails as DISCONNECTED,
// after what had arrived in order before has been taken (except what the destroyed stack itself held).
#include <kj/async.h>

#include "libs/nexus-net-os/base/wait-list.h"
#include "libs/nexus-net-os/base/wait-queue.h"
#include "libs/nexus-net-os/stack/lwip-stack.h"
#include "libs/nexus-net-os/stack/recv-queue.h"

struct tcp_pcb;

namespace nexus {

class TcpConn final : private LwipStack::Member {
 public:
  struct ConnectResult {
    // ok, refused (RST), timedOut, unreachable (no address or route), addressInUse, addressNotAvailable (local is not
    // ours).
    idl::Outcome outcome;
    kj::Own<TcpConn> conn;  // null unless ok
  };

  // Waits for the handshake; dropping the promise aborts it. `local` may be `any` and port 0: then the port is random
  // (RFC 6056). OVERLOADED when no connection block is free; FAILED for port 0 or an address that is not unicast as
  // `remote`. Times out after about 60 s of unanswered SYNs, at most after `timeout`.
  static kj::Promise<ConnectResult> connect(LwipStack& stack, SocketAddress remote, SocketAddress local = {},
                                            kj::Duration timeout = 60 * kj::SECONDS);

  // Adopts an established connection. For TcpListener.
  TcpConn(LwipStack& stack, ::tcp_pcb* pcb);

  // Adopts one that is yet to be connected. For connect().
  TcpConn(LwipStack& stack, ::tcp_pcb* pcb, SocketAddress local, SocketAddress remote);

  // What write() accepted is sent, then the connection is closed in order; data that still arrives is discarded.
  ~TcpConn() noexcept(false) override;
  KJ_DISALLOW_COPY_AND_MOVE(TcpConn);

  SocketAddress localAddress() const { return local; }
  SocketAddress remoteAddress() const { return remote; }

  // receiving ----

  // Resolves when peek() or tryRead() would not come back empty-handed: data, end of stream, or failure. One or many
  // waiters.
  kj::Promise<void> whenReadable();

  // The first contiguous received bytes, in place; empty when nothing has arrived (or all was taken). Valid until
  // consume().
  kj::ArrayPtr<const kj::byte> peek();

  // The first received bytes in several pieces, as many as there are and fit into `out`; returns how many.
  size_t peekPieces(kj::ArrayPtr<kj::ArrayPtr<const kj::byte>> out) { return received.pieces(out); }

  // Takes `bytes` (at most what was received) and opens the window by as much.
  void consume(size_t bytes);

  // Received bytes that wait to be taken.
  size_t available() const { return received.size(); }

  // The peer has sent FIN and everything before it was taken.
  bool atEnd() const { return finReceived && received.size() == 0; }

  // At most maxBytes of what is there; null when nothing is there yet, an empty array at the end of the stream.
  // DISCONNECTED when the connection is gone and everything was taken.
  kj::Maybe<kj::Array<kj::byte>> tryRead(size_t maxBytes);

  // Waits for at least one byte; empty at the end of the stream. Concurrent reads are served in the order of their
  // calls.
  kj::Promise<kj::Array<kj::byte>> read(size_t maxBytes);

  // sending ----

  // Resolves when tryWrite() would accept `bytes` (at most 64 KiB), or fails as DISCONNECTED.
  kj::Promise<void> whenWritable(size_t bytes = 1);

  // Bytes that tryWrite() would accept now, as long as the stack has memory; 0 when the connection is gone.
  size_t writableBytes() const;

  // Accepts a prefix of `data` (copied) and starts sending it; returns its length, 0 when the send buffer is full.
  // DISCONNECTED when the connection is gone, FAILED after shutdownWrite().
  size_t tryWrite(kj::ArrayPtr<const kj::byte> data);

  // Resolves when all of `data` (which stays valid until then) was accepted. Concurrent writes are served one after the
  // other, in the order of their calls. Dropping the promise leaves an accepted prefix on its way.
  kj::Promise<void> write(kj::ArrayPtr<const kj::byte> data);

  // Sends FIN after everything accepted, and after the writes that still wait; receiving goes on. Twice is the same as
  // once.
  kj::Promise<void> shutdownWrite();

  // Sends RST and forgets everything.
  void abort();

  // Resolves when the connection is gone: reset, aborted, timed out, or the stack destroyed. Not for an orderly close.
  kj::Promise<void> whenDisconnected();

 private:
  struct Callbacks;
  friend struct Callbacks;
  enum class Handshake { UNDER_WAY, DONE, FAILED };

  LwipStack& stack;
  ::tcp_pcb* pcb;  // null once lwIP has it for itself or has freed it
  SocketAddress local, remote;
  RecvQueue received;
  bool finReceived = false;
  bool finQueued = false;
  bool starved = false;  // lwIP had no memory for a write; poll or an ACK will tell
  Handshake handshake = Handshake::UNDER_WAY;
  idl::Outcome handshakeOutcome = idl::Outcome::OK;
  kj::Maybe<kj::Exception> failure;
  WaitList readable, writable, gone, handshakeDone;
  WaitQueue readers, writers;

  void attach();
  void letGo();
  void fail(kj::Exception&& reason);
  void requireAlive();
  bool canWrite() const;
  void queueFin();
  void stackGone() noexcept override;
};

}  // namespace nexus
