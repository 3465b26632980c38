#include "libs/nexus-net-os/stack/udp-conn.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/stack/lwip-address.h"
#include "lwip/igmp.h"
#include "lwip/mld6.h"
#include "lwip/udp.h"

namespace nexus {

namespace {

// IGMP (RFC 2236) or MLD (RFC 2710) on the one link.
bool joinOnLink(netif& link, const IpAddress& group) {
  ip_addr_t address = toLwip(group, link);
  return (group.isV4() ? igmp_joingroup_netif(&link, ip_2_ip4(&address))
                       : mld6_joingroup_netif(&link, ip_2_ip6(&address))) == ERR_OK;
}

void leaveOnLink(netif& link, const IpAddress& group) {
  ip_addr_t address = toLwip(group, link);
  if (group.isV4()) {
    igmp_leavegroup_netif(&link, ip_2_ip4(&address));
  } else {
    mld6_leavegroup_netif(&link, ip_2_ip6(&address));
  }
}

}  // namespace

struct UdpConn::Callbacks {
  static void received(void* arg, udp_pcb*, pbuf* p, const ip_addr_t* from, u16_t port) {
    KJ_DEFER(pbuf_free(p));
    auto& self = *static_cast<UdpConn*>(arg);
    auto data = kj::heapArray<kj::byte>(p->tot_len);
    pbuf_copy_partial(p, data.begin(), p->tot_len, 0);
    if (self.queue.size() >= self.queueLimit) {
      self.queue.pop_front();
      ++self.overflowed;
      ++self.stack.count().udpOverflow;
    }
    self.queue.push_back({{fromLwip(*from), port}, kj::mv(data)});
    ++self.stack.count().udpReceived;
    self.receivable.wakeAll();
  }
};

UdpConn::BindResult UdpConn::bind(LwipStack& stack, SocketAddress local, size_t queueLimit) {
  KJ_REQUIRE(queueLimit > 0, "a queue for no datagram");
  LwipStack::Call call(stack);
  if (!isOwnAddress(local.address, stack.link())) return {idl::Outcome::ADDRESS_NOT_AVAILABLE, {}};
  udp_pcb* pcb = udp_new_ip_type(IPADDR_TYPE_ANY);
  if (pcb == nullptr) kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no UDP block is free"));
  ip_addr_t address = toLwip(local.address, stack.link());
  err_t err = ERR_USE;
  // RFC 6056, 3.3.1: at random, and again when taken.
  for (int attempt = 0; attempt < (local.port == 0 ? 64 : 1) && err == ERR_USE; ++attempt) {
    err = udp_bind(pcb, &address, local.port != 0 ? local.port : stack.randomPort());
  }
  if (err != ERR_OK) {
    udp_remove(pcb);
    return {idl::Outcome::ADDRESS_IN_USE, {}};
  }
  local.port = pcb->local_port;
  return {idl::Outcome::OK, kj::heap<UdpConn>(stack, pcb, local, queueLimit)};
}

UdpConn::UdpConn(LwipStack& stack, udp_pcb* pcb, SocketAddress local, size_t queueLimit)
    : Member(stack), stack(stack), pcb(pcb), local(local), queueLimit(queueLimit) {
  udp_recv(pcb, &Callbacks::received, this);
  udp_set_multicast_ttl(pcb, 1);  // RFC 1112, 6.1: this link, unless asked otherwise
}

UdpConn::~UdpConn() noexcept(false) {
  if (pcb == nullptr) return;
  LwipStack::Call call(stack);
  for (auto& group : groups) leaveOnLink(stack.link(), group);
  udp_remove(pcb);
}

void UdpConn::stackGone() noexcept {
  for (auto& group : groups) leaveOnLink(stack.link(), group);
  udp_remove(pcb);
  pcb = nullptr;
  receivable.wakeAll();
}

void UdpConn::requireAlive() {
  if (pcb == nullptr) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the network stack is gone"));
}

idl::Outcome UdpConn::sendTo(SocketAddress to, kj::ArrayPtr<const kj::byte> data) {
  requireAlive();
  KJ_REQUIRE(to.port != 0 && !to.address.isAny(), "not an address to send to", to);
  KJ_REQUIRE(data.size() <= MAX_PAYLOAD, "more than a UDP datagram carries", data.size(), MAX_PAYLOAD);
  KJ_REQUIRE(local.address.isAny() || local.address.family() == to.address.family(),
             "bound to an address of another family", local, to);
  LwipStack::Call call(stack);
  pbuf* p = pbuf_alloc(PBUF_TRANSPORT, data.size(), PBUF_RAM);
  if (p == nullptr) kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no buffer for a datagram"));
  KJ_DEFER(pbuf_free(p));
  pbuf_take(p, data.begin(), data.size());
  ip_addr_t target = toLwip(to.address, stack.link());
  switch (err_t err = udp_sendto(pcb, p, &target, to.port)) {
    case ERR_OK:
    case ERR_IF:  // the link did not take it: a loss like any other, counted by the stack
      return idl::Outcome::OK;
    case ERR_RTE:
    case ERR_VAL:
      return idl::Outcome::UNREACHABLE;
    default:
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no buffer to send a datagram", err));
  }
}

kj::Maybe<UdpConn::Datagram> UdpConn::tryReceive() {
  if (queue.empty()) {
    requireAlive();
    return nullptr;
  }
  auto datagram = kj::mv(queue.front());
  queue.pop_front();
  return kj::mv(datagram);
}

kj::Promise<void> UdpConn::whenReceivable() {
  if (!queue.empty() || pcb == nullptr) return kj::READY_NOW;
  return receivable.wait();
}

kj::Promise<UdpConn::Datagram> UdpConn::receive() {
  WaitQueue::Turn turn(receivers);
  while (!turn.isFirst()) co_await turn.wait();
  for (;;) {
    KJ_IF_MAYBE (datagram, tryReceive()) co_return kj::mv(*datagram);
    co_await receivable.wait();
  }
}

idl::Outcome UdpConn::joinGroup(IpAddress group) {
  requireAlive();
  KJ_REQUIRE(group.isMulticast(), "not a multicast group", group);
  for (auto& joined : groups) {
    if (joined == group) return idl::Outcome::OK;
  }
  if (groups.size() >= MAX_GROUPS) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many groups for one socket", MAX_GROUPS));
  }
  LwipStack::Call call(stack);
  if (!joinOnLink(stack.link(), group)) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no block for a group is free"));
  }
  groups.add(group);
  return idl::Outcome::OK;
}

}  // namespace nexus
