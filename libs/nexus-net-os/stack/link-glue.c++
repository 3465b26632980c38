// The network interface between lwIP and the port: up and down, frames in, frames out.
#include <kj/debug.h>

#include "libs/nexus-net-os/stack/lwip-address.h"
#include "libs/nexus-net-os/stack/lwip-stack-impl.h"
#include "libs/nexus-net-os/stack/wire-bytes.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/igmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/udp.h"
#include "netif/ethernet.h"

namespace nexus {
namespace {

// Where a Packet Too Big quotes the packet it complains about: behind Ethernet, IPv6 and ICMPv6. The filter lets none
// pass with headers in between.
constexpr size_t QUOTE_AT = 14 + 40 + 8;

// TCP_MSS and the pools are made for it.
constexpr uint16_t MAX_MTU = 1500;

bool isPacketTooBig(kj::ArrayPtr<const kj::byte> frame) {
  return frame.size() >= QUOTE_AT && be16(frame, 12) == 0x86dd && frame[14 + 6] == 58 && frame[14 + 40] == 2;
}

uint64_t& counterOf(StackCounters& counters, FilterVerdict verdict) {
  switch (verdict) {
#define NEXUS_VERDICT(name) \
  case FilterVerdict::name: \
    return counters.rx##name;
    NEXUS_FILTER_VERDICTS(NEXUS_VERDICT)
#undef NEXUS_VERDICT
    case FilterVerdict::Pass:
      break;
  }
  return counters.rxFrames;
}

}  // namespace

bool isOwnAddress(const IpAddress& address, netif& link) {
  if (address.isAny()) return true;
  ip_addr_t wanted = toLwip(address, link);
  if (address.isV4()) return ip4_addr_eq(ip_2_ip4(&wanted), netif_ip4_addr(&link));
  return netif_get_ip6_addr_match(&link, ip_2_ip6(&wanted)) >= 0;
}

// up and down ----

err_t LwipStack::Impl::initLink(netif* link) {
  auto& self = of(link);
  MacAddress mac = self.port.macAddress();
  memcpy(link->hwaddr, mac.bytes.data(), 6);
  link->hwaddr_len = 6;
  link->name[0] = 'n', link->name[1] = 'x';
  link->mtu = kj::min(self.port.linkState().mtu, MAX_MTU);
  link->mtu6 = link->mtu;
  link->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_IGMP | NETIF_FLAG_MLD6;
  link->output = etharp_output;
  link->output_ip6 = ethip6_output;
  link->linkoutput = [](netif* link, pbuf* frame) { return of(link).send(*frame); };
  return ERR_OK;
}

void LwipStack::Impl::linkUp() {
  KJ_ASSERT(netif_add(&link, IP4_ADDR_ANY4, IP4_ADDR_ANY4, IP4_ADDR_ANY4, this, &initLink, &ethernet_input) != nullptr);
  netif_set_default(&link);
  netif_add_ext_callback(&linkCallback, [](netif* link, netif_nsc_reason_t reason, const netif_ext_callback_args_t*) {
    constexpr netif_nsc_reason_t INTERESTING =
        LWIP_NSC_LINK_CHANGED | LWIP_NSC_IPV4_SETTINGS_CHANGED | LWIP_NSC_IPV6_ADDR_STATE_CHANGED;
    if (reason & INTERESTING) of(link).stack.noteChange();
  });
  if (options.linkLocal6) netif_create_ip6_linklocal_address(&link, 1);
  netif_set_up(&link);
  applyLinkState();
}

void LwipStack::Impl::linkDown() {
  netif_remove_ext_callback(&linkCallback);
  netif_set_down(&link);
  netif_remove(&link);
  while (link.loop_first != nullptr) {
    pbuf* first = link.loop_first;
    link.loop_first = first->next;
    first->next = nullptr;
    pbuf_free(first);
  }
  // Datagrams in reassembly belong to no interface: let their time run out.
  for (int second = 0; second <= IP_REASS_MAXAGE; ++second) ip_reass_tmr();
  for (int second = 0; second <= IPV6_REASS_MAXAGE; ++second) ip6_reass_tmr();
}

void LwipStack::Impl::applyLinkState() {
  LinkState state = port.linkState();
  if (!state.up) {
    netif_set_link_down(&link);
    return;
  }
  MacAddress mac = port.macAddress();  // another driver may have another
  memcpy(link.hwaddr, mac.bytes.data(), 6);
  link.mtu = link.mtu6 = kj::min(state.mtu, MAX_MTU);
  if (netif_is_link_up(&link)) return;
  netif_set_link_up(&link);
  // Whoever waits for a retransmission need not wait out a back-off that grew while the link was away.
  for (tcp_pcb* pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next) {
    if (pcb->rtime >= 0 && pcb->rtime < pcb->rto) pcb->rtime = pcb->rto;
  }
}

void LwipStack::Impl::linkChanged() {
  Call call(stack);
  applyLinkState();
  stack.noteChange();
}

// frames in ----

FilterView LwipStack::Impl::view() {
  FilterView v;
  memcpy(v.mac.bytes.data(), link.hwaddr, 6);
  v.mtu = link.mtu;
  v.ipv4 = lwip_ntohl(netif_ip4_addr(&link)->addr);
  v.prefixLength = __builtin_popcount(netif_ip4_netmask(&link)->addr);
  for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; ++i) {
    // Also tentative ones: whoever uses one of them has a duplicate, which is told by NS from :: or NA, never by its
    // source.
    if (ip6_addr_isinvalid(netif_ip6_addr_state(&link, i))) continue;
    memcpy(v.ipv6[v.ipv6Count++].data(), netif_ip6_addr(&link, i)->addr, 16);
  }
  return v;
}

void LwipStack::Impl::frameReceived(kj::ArrayPtr<ReceivedPiece> pieces, const FrameMeta& meta) {
  inBatch = true;
  pbuf* frame = bridge.wrap(pieces);
  if (frame == nullptr) return;
  if (meta.flags & FrameMeta::NEEDS_CHECKSUM) {
    // The sender left the transport checksum to us, as neighbours on one host do: finish it, so that the rest need not
    // know.
    size_t start = meta.csumStart, at = start + meta.csumOffset;
    if (start < 14 || at + 2 > frame->len || start >= frame->tot_len || pbuf_remove_header(frame, start) != 0) {
      ++counters.rxBadLength;
      pbuf_free(frame);
      return;
    }
    uint16_t sum = inet_chksum_pbuf(frame);
    pbuf_add_header_force(frame, start);
    memcpy(static_cast<kj::byte*>(frame->payload) + at, &sum, 2);
  }
  receive(frame);
}

void LwipStack::Impl::receive(pbuf* frame) {
  auto head = kj::arrayPtr(static_cast<kj::byte*>(frame->payload), frame->len);
  FilterVerdict verdict = FrameFilter::check(head, frame->tot_len, view());
  if (verdict != FilterVerdict::Pass) {
    ++counterOf(counters, verdict);
    pbuf_free(frame);
    return;
  }
  if (isPacketTooBig(head) && !quotesLiveConnection(head.slice(QUOTE_AT, head.size()))) {
    ++counters.rxStrayPacketTooBig;
    pbuf_free(frame);
    return;
  }
  ++counters.rxFrames;
  counters.rxBytes += frame->tot_len;
  Call call(stack);
  processing = true;
  KJ_DEFER(processing = false);
  hook.beginFrame();
  if (link.input(frame, &link) != ERR_OK) pbuf_free(frame);
}

// RFC 8201, 4: a Packet Too Big counts only when it quotes a packet that we may have sent. `quote` begins with its IPv6
// header.
bool LwipStack::Impl::quotesLiveConnection(kj::ArrayPtr<const kj::byte> quote) {
  if (quote.size() < 44) return false;
  ip6_addr_t source{}, destination{};
  memcpy(source.addr, quote.begin() + 8, 16);
  memcpy(destination.addr, quote.begin() + 24, 16);
  ip6_addr_assign_zone(&source, IP6_UNKNOWN, &link);
  ip6_addr_assign_zone(&destination, IP6_UNKNOWN, &link);
  if (netif_get_ip6_addr_match(&link, &source) < 0) return false;
  uint16_t sourcePort = be16(quote, 40), destinationPort = be16(quote, 42);
  if (quote[6] == IP_PROTO_TCP) {
    for (tcp_pcb* pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next) {
      if (pcb->local_port == sourcePort && pcb->remote_port == destinationPort && IP_IS_V6_VAL(pcb->remote_ip) &&
          ip6_addr_eq(ip_2_ip6(&pcb->remote_ip), &destination)) {
        return true;
      }
    }
  } else if (quote[6] == IP_PROTO_UDP) {
    for (udp_pcb* pcb = udp_pcbs; pcb != nullptr; pcb = pcb->next) {
      if (pcb->local_port == sourcePort) return true;
    }
  }
  return false;
}

void LwipStack::Impl::batchDone() {
  inBatch = false;
  deliverLoopback();
  if (flushNeeded) port.flush();
  flushNeeded = false;
  Call settleOnce(stack);
}

// frames out ----

err_t LwipStack::Impl::send(pbuf& frame) {
  // What the headers say decides; they lie in the first pbufs.
  kj::byte headBytes[FrameFilter::MIN_HEAD];
  if (processing) {
    size_t length = pbuf_copy_partial(&frame, headBytes, sizeof(headBytes), 0);
    // Dropped as a loss on the wire would be; lwIP need not know.
    if (!limiter.allowAnswer(kj::arrayPtr(headBytes, length), hook.matched(), nowNs())) return ERR_OK;
  }
  constexpr size_t MAX_PIECES = 64;
  kj::ArrayPtr<const kj::byte> pieces[MAX_PIECES];
  size_t count = 0;
  kj::Array<kj::byte> gathered;
  for (pbuf* p = &frame; p != nullptr; p = p->next) {
    if (p->len == 0) continue;
    if (count == MAX_PIECES) {  // a segment made of very many small writes
      gathered = kj::heapArray<kj::byte>(frame.tot_len);
      pbuf_copy_partial(&frame, gathered.begin(), frame.tot_len, 0);
      pieces[0] = gathered;
      count = 1;
      break;
    }
    pieces[count++] = kj::arrayPtr(static_cast<const kj::byte*>(p->payload), p->len);
  }
  flushNeeded = true;
  if (!port.transmit(kj::arrayPtr(pieces, count), FrameMeta{})) {
    ++counters.txDropped;
    return ERR_IF;  // TCP tries again, UDP treats it as a loss
  }
  ++counters.txFrames;
  counters.txBytes += frame.tot_len;
  return ERR_OK;
}

}  // namespace nexus
