#include "libs/nexus-net-os/stack/icmp-echo.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/stack/lwip-address.h"
#include "libs/nexus-net-os/stack/wire-bytes.h"
#include "lwip/raw.h"

namespace nexus {
namespace {

constexpr kj::byte ECHO_REPLY = 0, UNREACHABLE = 3, ECHO_REQUEST = 8;
constexpr size_t HEADER = 8;  // type, code, checksum, identifier, sequence number
constexpr size_t MAX_ICMP = HEADER + IcmpEcho::MAX_PAYLOAD;

}  // namespace

struct IcmpEcho::Callbacks {
  // Every ICMP message to this node passes here; 1 takes it away from lwIP and from other IcmpEchos.
  static u8_t received(void* arg, raw_pcb*, pbuf* p, const ip_addr_t* from) {
    auto& self = *static_cast<IcmpEcho*>(arg);
    kj::byte buffer[60 + MAX_ICMP];
    if (p->tot_len > sizeof(buffer)) return 0;
    auto packet = kj::arrayPtr(buffer, pbuf_copy_partial(p, buffer, p->tot_len, 0));
    if (packet.size() < 20) return 0;
    size_t ipHeader = (packet[0] & 15) * 4;
    if (ipHeader < 20 || packet.size() < ipHeader + HEADER) return 0;
    auto icmp = packet.slice(ipHeader, packet.size());
    if (internetChecksum(icmp) != 0) return 0;
    bool mine = false;
    if (icmp[0] == ECHO_REPLY) mine = self.reply(fromLwip(*from), icmp);
    if (icmp[0] == UNREACHABLE) self.unreachable(icmp.slice(HEADER, icmp.size()));
    if (mine) pbuf_free(p);
    return mine;
  }
};

IcmpEcho::Pending::Pending(kj::PromiseFulfiller<Result>& fulfiller, IcmpEcho& echo, IpAddress to, uint16_t sequence,
                           kj::ArrayPtr<const kj::byte> payload)
    : fulfiller(fulfiller),
      echo(echo),
      to(to),
      sequence(sequence),
      payload(kj::heapArray(payload)),
      sent(echo.stack.clock().now()) {
  echo.pending.add(*this);
}

IcmpEcho::Pending::~Pending() noexcept(false) {
  if (link.isLinked()) echo.pending.remove(*this);
}

void IcmpEcho::Pending::finish(idl::Outcome outcome) {
  echo.pending.remove(*this);
  fulfiller.fulfill(Result{outcome, echo.stack.clock().now() - sent});
}

IcmpEcho::IcmpEcho(LwipStack& stack) : Member(stack), stack(stack), identifier(stack.random().u32() & 0xffff) {
  LwipStack::Call call(stack);
  pcb = raw_new_ip_type(IPADDR_TYPE_V4, IP_PROTO_ICMP);
  if (pcb == nullptr) kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no raw block is free"));
  raw_recv(pcb, &Callbacks::received, this);
}

IcmpEcho::~IcmpEcho() noexcept(false) {
  if (pcb != nullptr) raw_remove(pcb);
}

void IcmpEcho::stackGone() noexcept {
  raw_remove(pcb);
  pcb = nullptr;
  while (!pending.empty()) {
    Pending& first = pending.front();
    pending.remove(first);
    first.fulfiller.reject(KJ_EXCEPTION(DISCONNECTED, "the network stack is gone"));
  }
}

bool IcmpEcho::reply(const IpAddress& from, kj::ArrayPtr<const kj::byte> icmp) {
  if (be16(icmp, 4) != identifier) return false;
  uint16_t sequence = be16(icmp, 6);
  for (auto& ping : pending) {
    if (ping.sequence == sequence && ping.to == from && ping.payload == icmp.slice(HEADER, icmp.size())) {
      ping.finish(idl::Outcome::OK);
      return true;
    }
  }
  return false;
}

// `quote` is the IP header and at least 8 bytes of what we sent (RFC 792).
void IcmpEcho::unreachable(kj::ArrayPtr<const kj::byte> quote) {
  if (quote.size() < 20 + HEADER) return;
  size_t ipHeader = (quote[0] & 15) * 4;
  if (ipHeader < 20 || quote.size() < ipHeader + HEADER || quote[9] != IP_PROTO_ICMP) return;
  auto icmp = quote.slice(ipHeader, quote.size());
  if (icmp[0] != ECHO_REQUEST || be16(icmp, 4) != identifier) return;
  for (auto& ping : pending) {
    if (ping.sequence == be16(icmp, 6) && ping.to == IpAddress::v4(be32(quote, 16))) {
      ping.finish(idl::Outcome::UNREACHABLE);
      return;
    }
  }
}

kj::Promise<IcmpEcho::Result> IcmpEcho::ping(IpAddress to, kj::Array<const kj::byte> payload, kj::Duration timeout) {
  if (pcb == nullptr) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the network stack is gone"));
  KJ_REQUIRE(to.isV4() && !to.isMulticast(), "not an IPv4 address to ping", to);
  ip4_addr_t target = toLwip4(to);  // one request must not make a whole link answer
  KJ_REQUIRE(!ip4_addr_isbroadcast(&target, &stack.link()), "a broadcast address is not pinged", to);
  KJ_REQUIRE(payload.size() <= MAX_PAYLOAD, "payload too long", payload.size(), MAX_PAYLOAD);
  if (pending.size() >= MAX_PENDING) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many echo requests under way", MAX_PENDING));
  }
  uint16_t sequence = nextSequence++;
  auto result = kj::newAdaptedPromise<Result, Pending>(*this, to, sequence, payload.asPtr());
  KJ_IF_MAYBE (outcome, send(to, sequence, payload)) return Result{*outcome};
  return result.exclusiveJoin(stack.clock().afterDelay(timeout).then([]() { return Result{idl::Outcome::TIMED_OUT}; }));
}

// Null when the request is on its way.
kj::Maybe<idl::Outcome> IcmpEcho::send(const IpAddress& to, uint16_t sequence, kj::ArrayPtr<const kj::byte> payload) {
  LwipStack::Call call(stack);
  pbuf* p = pbuf_alloc(PBUF_IP, HEADER + payload.size(), PBUF_RAM);
  if (p == nullptr) kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no buffer for an echo request"));
  KJ_DEFER(pbuf_free(p));
  auto icmp = kj::arrayPtr(static_cast<kj::byte*>(p->payload), p->len);
  icmp[0] = ECHO_REQUEST;
  icmp[1] = 0;
  putBe16(icmp, 2, 0);
  putBe16(icmp, 4, identifier);
  putBe16(icmp, 6, sequence);
  if (payload.size() > 0) memcpy(icmp.begin() + HEADER, payload.begin(), payload.size());
  putBe16(icmp, 2, internetChecksum(icmp));
  ip_addr_t target = toLwip(to, stack.link());
  switch (err_t err = raw_sendto(pcb, p, &target)) {
    case ERR_OK:
    case ERR_IF:
      return nullptr;
    case ERR_RTE:
    case ERR_VAL:
      return idl::Outcome::UNREACHABLE;
    default:
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no buffer to send an echo request", err));
  }
}

}  // namespace nexus
