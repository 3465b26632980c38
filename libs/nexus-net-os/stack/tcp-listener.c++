#include "libs/nexus-net-os/stack/tcp-listener.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/stack/lwip-address.h"
#include "libs/nexus-net-os/stack/tcp-bind.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

namespace nexus {

struct TcpListener::Callbacks {
  // A handshake is complete; the input hook has made sure that there is room.
  static err_t accepted(void* arg, tcp_pcb* pcb, err_t err) {
    auto& self = *static_cast<TcpListener*>(static_cast<AcceptQueue*>(arg));
    if (err != ERR_OK || pcb == nullptr) return ERR_VAL;  // no connection block; lwIP has counted it
    tcp_setprio(pcb, TCP_PRIO_NORMAL);
    self.queue.push_back(kj::heap<TcpConn>(self.stack, pcb));
    ++self.stack.count().tcpAccepted;
    self.acceptable.wakeAll();
    return ERR_OK;
  }
};

namespace {

// A port has one listener: also where one of two would listen on every address.
bool hasListener(const tcp_pcb& bound) {
  for (auto* other = tcp_listen_pcbs.listen_pcbs; other != nullptr; other = other->next) {
    if (other->local_port == bound.local_port && (ip_addr_isany(&other->local_ip) || ip_addr_isany(&bound.local_ip) ||
                                                  ip_addr_eq(&other->local_ip, &bound.local_ip))) {
      return true;
    }
  }
  return false;
}

}  // namespace

TcpListener::ListenResult TcpListener::listen(LwipStack& stack, SocketAddress local, uint16_t backlog) {
  LwipStack::Call call(stack);
  if (backlog == 0) backlog = DEFAULT_BACKLOG;
  backlog = kj::min(backlog, MAX_BACKLOG);
  if (!isOwnAddress(local.address, stack.link())) return {idl::Outcome::ADDRESS_NOT_AVAILABLE, {}};

  auto overloaded = []() { kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no listening block is free")); };
  tcp_pcb* pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
  if (pcb == nullptr) overloaded();
  ip_addr_t address = toLwip(local.address, stack.link());
  // RFC 9293 3.4.1 keeps closed connections for minutes; a server that was started again must not wait for those of its
  // predecessor.
  ip_set_option(pcb, SOF_REUSEADDR);
  if (!bindTcp(stack, *pcb, address, local.port) || hasListener(*pcb)) {
    tcp_close(pcb);
    return {idl::Outcome::ADDRESS_IN_USE, {}};
  }
  // lwIP's backlog counts handshakes under way and has 8 bits; those that are complete wait in our queue.
  err_t err = ERR_OK;
  tcp_pcb* listening =
      tcp_listen_with_backlog_and_err(pcb, kj::max(MIN_HALF_OPEN, kj::min(backlog, MAX_HALF_OPEN)), &err);
  if (listening == nullptr) {
    tcp_close(pcb);
    if (err == ERR_USE) return {idl::Outcome::ADDRESS_IN_USE, {}};
    overloaded();
  }
  // Who has not finished a handshake gives way when connection blocks are short.
  tcp_setprio(listening, TCP_PRIO_MIN);
  local.port = listening->local_port;
  return {idl::Outcome::OK, kj::heap<TcpListener>(stack, listening, local, backlog)};
}

TcpListener::TcpListener(LwipStack& stack, tcp_pcb* pcb, SocketAddress local, uint16_t backlog)
    : Member(stack), stack(stack), pcb(pcb), local(local), backlog(backlog) {
  tcp_arg(pcb, static_cast<AcceptQueue*>(this));
  tcp_accept(pcb, &Callbacks::accepted);
}

TcpListener::~TcpListener() noexcept(false) {
  if (pcb == nullptr) return;
  LwipStack::Call call(stack);
  // Handshakes under way lose their listener and are reset when they complete.
  tcp_close(pcb);
  for (auto& conn : queue) conn->abort();
}

void TcpListener::stackGone() noexcept {
  tcp_close(pcb);
  pcb = nullptr;
  acceptable.wakeAll();
}

size_t TcpListener::halfOpen() const {
  return pcb == nullptr ? 0 : reinterpret_cast<const tcp_pcb_listen*>(pcb)->accepts_pending;
}

kj::Maybe<kj::Own<TcpConn>> TcpListener::tryAccept() {
  if (queue.empty()) {
    if (pcb == nullptr) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the network stack is gone"));
    return nullptr;
  }
  auto conn = kj::mv(queue.front());
  queue.pop_front();
  return kj::mv(conn);
}

kj::Promise<void> TcpListener::whenAcceptable() {
  if (!queue.empty() || pcb == nullptr) return kj::READY_NOW;
  return acceptable.wait();
}

kj::Promise<kj::Own<TcpConn>> TcpListener::accept() {
  WaitQueue::Turn turn(acceptors);
  while (!turn.isFirst()) co_await turn.wait();
  for (;;) {
    KJ_IF_MAYBE (conn, tryAccept()) co_return kj::mv(*conn);
    co_await acceptable.wait();
  }
}

}  // namespace nexus
