#include "libs/nexus-net-os/stack/tcp-conn.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/stack/lwip-address.h"
#include "libs/nexus-net-os/stack/tcp-bind.h"
#include "libs/nexus-net-os/stack/tcp-orphans.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

namespace nexus {

namespace {

// How often lwIP reminds a connection that memory may be free again.
constexpr uint8_t POLL_TICKS = 500 / TCP_SLOW_INTERVAL;

SocketAddress endpoint(const ip_addr_t& address, uint16_t port) {
  return {fromLwip(address), port};
}

}  // namespace

// What lwIP calls. None of them runs user code: they note what happened and wake who waits.
struct TcpConn::Callbacks {
  static TcpConn& of(void* arg) { return *static_cast<TcpConn*>(arg); }

  static err_t connected(void* arg, tcp_pcb* pcb, err_t) {
    auto& self = of(arg);
    self.local = endpoint(pcb->local_ip, pcb->local_port);
    self.handshake = Handshake::DONE;
    self.handshakeDone.wakeAll();
    return ERR_OK;
  }

  static err_t received(void* arg, tcp_pcb*, pbuf* p, err_t) {
    auto& self = of(arg);
    if (p != nullptr) {
      self.received.push(p);
    } else {
      self.finReceived = true;
      // With both sides finished lwIP frees the connection without telling: from here on it is lwIP's alone.
      if (self.finQueued) self.letGo();
    }
    self.readable.wakeAll();
    return ERR_OK;
  }

  static err_t sent(void* arg, tcp_pcb*, u16_t) {
    auto& self = of(arg);
    self.starved = false;
    if (self.canWrite()) self.writable.wakeAll();
    return ERR_OK;
  }

  static err_t poll(void* arg, tcp_pcb* pcb) { return sent(arg, pcb, 0); }

  // lwIP has freed the connection.
  static void failed(void* arg, err_t err) {
    auto& self = of(arg);
    self.pcb = nullptr;
    if (self.handshake == Handshake::UNDER_WAY) {
      self.handshake = Handshake::FAILED;
      self.handshakeOutcome = err == ERR_RST ? idl::Outcome::REFUSED : idl::Outcome::TIMED_OUT;
      self.handshakeDone.wakeAll();
    }
    self.fail(err == ERR_RST ? KJ_EXCEPTION(DISCONNECTED, "connection reset by peer")
                             : KJ_EXCEPTION(DISCONNECTED, "connection timed out or was aborted"));
  }
};

// life ----

TcpConn::TcpConn(LwipStack& stack, tcp_pcb* pcb, SocketAddress local, SocketAddress remote)
    : Member(stack), stack(stack), pcb(pcb), local(local), remote(remote) {
  attach();
}

TcpConn::TcpConn(LwipStack& stack, tcp_pcb* pcb)
    : TcpConn(stack, pcb, endpoint(pcb->local_ip, pcb->local_port), endpoint(pcb->remote_ip, pcb->remote_port)) {
  handshake = Handshake::DONE;
}

void TcpConn::attach() {
  tcp_arg(pcb, this);
  tcp_recv(pcb, &Callbacks::received);
  tcp_sent(pcb, &Callbacks::sent);
  tcp_err(pcb, &Callbacks::failed);
  tcp_poll(pcb, &Callbacks::poll, POLL_TICKS);
  tcp_nagle_disable(pcb);  // writers hand over whole messages
}

TcpConn::~TcpConn() noexcept(false) {
  if (pcb == nullptr) return;
  LwipStack::Call call(stack);
  letGo();
}

// Gives the connection to the stack, which finishes it.
void TcpConn::letGo() {
  tcp_pcb* mine = pcb;
  pcb = nullptr;
  // What nobody has read yet must not keep the window shut, or the peer could not finish (and lwIP would answer with
  // RST).
  for (size_t unread = received.size(); unread > 0;) {
    size_t step = kj::min(unread, size_t(UINT16_MAX));
    tcp_recved(mine, step);
    unread -= step;
  }
  stack.orphans().adopt(mine, finReceived);
}

void TcpConn::abort() {
  if (pcb == nullptr) return;
  LwipStack::Call call(stack);
  tcp_err(pcb, nullptr);
  tcp_abort(pcb);
  pcb = nullptr;
  received.clear();
  fail(KJ_EXCEPTION(DISCONNECTED, "connection aborted"));
}

void TcpConn::stackGone() noexcept {
  if (pcb != nullptr) {
    tcp_err(pcb, nullptr);
    tcp_abort(pcb);
    pcb = nullptr;
  }
  received.clear();
  fail(KJ_EXCEPTION(DISCONNECTED, "the network stack is gone"));
}

void TcpConn::fail(kj::Exception&& reason) {
  failure = kj::cp(reason);
  readable.wakeAll();  // tryRead() tells, after the data
  writable.rejectAll(reason);
  writers.rejectAll(reason);
  handshakeDone.wakeAll();
  gone.wakeAll();
}

void TcpConn::requireAlive() {
  KJ_IF_MAYBE (reason, failure) kj::throwFatalException(kj::cp(*reason));
}

// connecting ----

kj::Promise<TcpConn::ConnectResult> TcpConn::connect(LwipStack& stack, SocketAddress remote, SocketAddress local,
                                                     kj::Duration timeout) {
  KJ_REQUIRE(remote.port != 0 && !remote.address.isAny() && !remote.address.isMulticast(),
             "not an address to connect to", remote);
  KJ_REQUIRE(local.address.isAny() || local.address.family() == remote.address.family(),
             "local and remote address are of different families", local, remote);
  kj::Own<TcpConn> conn;
  {
    LwipStack::Call call(stack);
    auto failed = [](idl::Outcome outcome) { return ConnectResult{outcome, {}}; };
    if (!isOwnAddress(local.address, stack.link())) co_return failed(idl::Outcome::ADDRESS_NOT_AVAILABLE);
    tcp_pcb* pcb = tcp_new_ip_type(remote.address.isV4() ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6);
    if (pcb == nullptr) kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no connection block is free"));
    conn = kj::heap<TcpConn>(stack, pcb, local, remote);

    ip_addr_t bindTo = local.address.isAny() ? *(remote.address.isV4() ? IP4_ADDR_ANY : IP6_ADDR_ANY)
                                             : toLwip(local.address, stack.link());
    if (!bindTcp(stack, *pcb, bindTo, local.port)) co_return failed(idl::Outcome::ADDRESS_IN_USE);
    ip_addr_t target = toLwip(remote.address, stack.link());
    switch (err_t err = tcp_connect(pcb, &target, remote.port, &Callbacks::connected)) {
      case ERR_OK:
        break;
      case ERR_RTE:
        co_return failed(idl::Outcome::UNREACHABLE);
      case ERR_USE:
        co_return failed(idl::Outcome::ADDRESS_IN_USE);
      default:
        kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no memory to connect", err));
    }
  }

  auto deadline = stack.clock().now() + timeout;
  while (conn->handshake == Handshake::UNDER_WAY && stack.clock().now() < deadline) {
    co_await conn->handshakeDone.wait().exclusiveJoin(stack.clock().atTime(deadline));
  }
  switch (conn->handshake) {
    case Handshake::DONE:
      ++stack.count().tcpConnected;
      co_return ConnectResult{idl::Outcome::OK, kj::mv(conn)};
    case Handshake::UNDER_WAY:
      conn->abort();
      co_return ConnectResult{idl::Outcome::TIMED_OUT, {}};
    case Handshake::FAILED:
      break;
  }
  co_return ConnectResult{conn->handshakeOutcome, {}};
}

// receiving ----

kj::Promise<void> TcpConn::whenReadable() {
  if (received.size() > 0 || finReceived || failure != nullptr) return kj::READY_NOW;
  return readable.wait();
}

kj::ArrayPtr<const kj::byte> TcpConn::peek() {
  return received.front();
}

void TcpConn::consume(size_t bytes) {
  LwipStack::Call call(stack);
  received.consume(bytes);
  // lwIP tells the peer when the window has opened by enough (RFC 9293, 3.8.6.2.2).
  while (pcb != nullptr && bytes > 0) {
    size_t step = kj::min(bytes, size_t(UINT16_MAX));
    tcp_recved(pcb, step);
    bytes -= step;
  }
}

kj::Maybe<kj::Array<kj::byte>> TcpConn::tryRead(size_t maxBytes) {
  KJ_REQUIRE(maxBytes > 0, "a read of nothing");
  size_t count = kj::min(maxBytes, received.size());
  if (count == 0) {
    if (finReceived) return kj::Array<kj::byte>();
    requireAlive();
    return nullptr;
  }
  auto result = kj::heapArray<kj::byte>(count);
  for (size_t done = 0; done < count;) {
    auto piece = received.front();
    size_t n = kj::min(piece.size(), count - done);
    memcpy(result.begin() + done, piece.begin(), n);
    done += n;
    if (pcb != nullptr) {
      consume(n);
    } else {
      received.consume(n);
    }
  }
  return kj::mv(result);
}

kj::Promise<kj::Array<kj::byte>> TcpConn::read(size_t maxBytes) {
  WaitQueue::Turn turn(readers);
  while (!turn.isFirst()) co_await turn.wait();
  for (;;) {
    KJ_IF_MAYBE (data, tryRead(maxBytes)) co_return kj::mv(*data);
    co_await readable.wait();
  }
}

// sending ----

bool TcpConn::canWrite() const {
  return pcb != nullptr && !starved && tcp_sndbuf(pcb) > 0 && tcp_sndqueuelen(pcb) < TCP_SND_QUEUELEN;
}

size_t TcpConn::writableBytes() const {
  return canWrite() ? pcb->snd_buf : 0;  // tcp_sndbuf() stops at 65535
}

kj::Promise<void> TcpConn::whenWritable(size_t bytes) {
  KJ_REQUIRE(bytes <= TCP_SND_BUF / 4, "more than a send buffer is sure to take", bytes);
  requireAlive();
  while (writableBytes() < bytes) co_await writable.wait();
}

size_t TcpConn::tryWrite(kj::ArrayPtr<const kj::byte> data) {
  requireAlive();
  KJ_REQUIRE(!finQueued, "the sending side was closed");
  LwipStack::Call call(stack);
  size_t accepted = 0;
  size_t limit = UINT16_MAX;
  while (accepted < data.size()) {
    size_t n = kj::min(kj::min(data.size() - accepted, limit), size_t(tcp_sndbuf(pcb)));
    if (n == 0) break;
    uint8_t flags = TCP_WRITE_FLAG_COPY;
    if (accepted + n < data.size()) flags |= TCP_WRITE_FLAG_MORE;
    if (tcp_write(pcb, data.begin() + accepted, n, flags) == ERR_OK) {
      accepted += n;
    } else {
      // Not enough buffers for so much at once.
      limit = n / 2;
    }
  }
  if (accepted > 0) {
    tcp_output(pcb);
  } else if (data.size() > 0) {
    starved = true;
  }
  return accepted;
}

kj::Promise<void> TcpConn::write(kj::ArrayPtr<const kj::byte> data) {
  requireAlive();
  KJ_REQUIRE(!finQueued, "the sending side was closed");
  WaitQueue::Turn turn(writers);
  while (!turn.isFirst()) co_await turn.wait();
  for (;;) {
    data = data.slice(tryWrite(data), data.size());
    if (data.size() == 0) co_return;
    co_await writable.wait();
  }
}

kj::Promise<void> TcpConn::shutdownWrite() {
  requireAlive();
  WaitQueue::Turn turn(writers);
  while (!turn.isFirst()) co_await turn.wait();
  queueFin();
}

void TcpConn::queueFin() {
  if (finQueued) return;
  requireAlive();
  finQueued = true;
  LwipStack::Call call(stack);
  if (finReceived) {
    letGo();
  } else {
    tcp_shutdown(pcb, 0, 1);  // without memory for the FIN lwIP tries again by itself
  }
}

kj::Promise<void> TcpConn::whenDisconnected() {
  if (failure != nullptr) return kj::READY_NOW;
  return gone.wait();
}

}  // namespace nexus
