#include "libs/nexus-net-os/stack/frame-filter.h"

#include "libs/nexus-net-os/stack/frame-filter-ipv6.h"
#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

using V = FilterVerdict;

constexpr size_t ETHERNET = 14;
constexpr uint16_t TYPE_IPV4 = 0x0800, TYPE_ARP = 0x0806, TYPE_IPV6 = 0x86dd;
constexpr kj::byte ICMP = 1, TCP = 6, UDP = 17, IGMP = 2;

bool isLoopback(uint32_t a) {
  return a >> 24 == 127;
}
bool isGroup(uint32_t a) {
  return a >= 0xe0000000;
}  // class D, E and the limited broadcast

bool isOwnBroadcast(uint32_t a, const FilterView& view) {
  if (view.ipv4 == 0 || view.prefixLength == 0 || view.prefixLength > 30) return false;
  uint32_t hostBits = 0xffffffffu >> view.prefixLength;
  return (a & ~hostBits) == (view.ipv4 & ~hostBits) && ((a & hostBits) == hostBits || (a & hostBits) == 0);
}

// RFC 826, and RFC 5227: who claims our address or speaks for a group is not believed.
V checkArp(kj::ArrayPtr<const kj::byte> arp, const FilterView& view) {
  if (arp.size() < 28) return V::Truncated;
  bool ethernetIpv4 = be16(arp, 0) == 1 && be16(arp, 2) == TYPE_IPV4 && arp[4] == 6 && arp[5] == 4;
  uint16_t operation = be16(arp, 6);
  if (!ethernetIpv4 || operation < 1 || operation > 2) return V::BadArp;
  auto senderMac = arp.slice(8, 14);
  uint32_t sender = be32(arp, 14);
  if (senderMac[0] & 1 || senderMac == kj::ArrayPtr<const kj::byte>(view.mac.bytes.data(), 6)) return V::BadArp;
  if (isLoopback(sender) || isGroup(sender) || isOwnBroadcast(sender, view)) return V::BadArp;
  if (view.ipv4 != 0 && sender == view.ipv4) return V::BadArp;
  return V::Pass;
}

// RFC 768. Cuts the packet to the datagram's own length when the IP packet is longer.
V checkUdp(kj::ArrayPtr<kj::byte> ip, size_t headerLength, size_t total) {
  size_t payload = total - headerLength;
  if (payload < 8) return V::Truncated;
  size_t length = be16(ip, headerLength + 4);
  if (length < 8 || length > payload) return V::BadLength;
  if (length < payload) {
    putBe16(ip, 2, headerLength + length);
    putBe16(ip, 10, 0);
    putBe16(ip, 10, internetChecksum(ip.slice(0, headerLength)));
  }
  return V::Pass;
}

V checkIpv4Addresses(uint32_t source, uint32_t destination, kj::byte protocol, const FilterView& view) {
  // RFC 1122, 3.2.1.3.
  if (isLoopback(source) || isGroup(source) || isOwnBroadcast(source, view)) return V::Martian;
  if (isLoopback(destination)) return V::LoopbackDestination;
  if (destination == 0) return V::Martian;
  // "This host on this network" may ask for an address or report a group, nothing else.
  if (source >> 24 == 0 && !(source == 0 && (protocol == IGMP || (protocol == UDP && destination == 0xffffffff)))) {
    return V::Martian;
  }
  if (view.ipv4 != 0 && source == view.ipv4) return V::Land;
  return V::Pass;
}

V checkIpv4(kj::ArrayPtr<kj::byte> ip, size_t available, bool linkGroup, const FilterView& view) {
  if (ip.size() < 20) return V::Truncated;
  size_t headerLength = (ip[0] & 15) * 4;
  size_t total = be16(ip, 2);
  if (ip[0] >> 4 != 4 || headerLength < 20 || total < headerLength || total > available) return V::BadLength;
  if (ip.size() < headerLength) return V::Truncated;
  // A damaged header says nothing that could be believed, and a repaired length must not hide the damage.
  if (internetChecksum(ip.slice(0, headerLength)) != 0) return V::BadLength;

  uint32_t source = be32(ip, 12), destination = be32(ip, 16);
  kj::byte protocol = ip[9];
  V verdict = checkIpv4Addresses(source, destination, protocol, view);
  if (verdict != V::Pass) return verdict;
  // RFC 1122, 3.3.6 and 4.2.3.10: a link broadcast carries no unicast TCP or ICMP.
  if (linkGroup && (protocol == TCP || protocol == ICMP) && !isGroup(destination) &&
      !isOwnBroadcast(destination, view)) {
    return V::LinkBroadcast;
  }

  size_t payload = total - headerLength;
  size_t offset = (be16(ip, 6) & 0x1fff) * 8;
  bool more = be16(ip, 6) & 0x2000;
  if (offset != 0 || more) {
    // RFC 791: fragments but the last come in units of 8, and no datagram is longer than 65535. RFC 1858: none is so
    // short or so placed that it rewrites a transport header.
    if (payload == 0 || offset + payload > 65535 - headerLength || (more && payload % 8 != 0)) return V::BadFragment;
    if (protocol == TCP && (offset == 8 || (offset == 0 && payload < 20))) return V::BadFragment;
    return V::Pass;
  }
  if (protocol == UDP) {
    if (ip.size() < total) return V::Oversized;
    return checkUdp(ip, headerLength, total);
  }
  if (protocol == TCP) {
    if (payload < 20 || ip.size() < headerLength + 20) return V::Truncated;
    size_t tcpHeader = (ip[headerLength + 12] >> 4) * 4;
    if (tcpHeader < 20 || tcpHeader > payload) return V::BadLength;
  }
  if ((protocol == ICMP || protocol == IGMP) && payload < 8) return V::Truncated;
  return V::Pass;
}

}  // namespace

FilterVerdict FrameFilter::check(kj::ArrayPtr<kj::byte> head, size_t total, const FilterView& view) {
  if (head.size() < ETHERNET || total < head.size()) return V::Truncated;
  kj::ArrayPtr<const kj::byte> own(view.mac.bytes.data(), 6);
  auto destination = head.slice(0, 6), source = head.slice(6, 12);
  // A hub sends our own frames back.
  if (source == own) return V::Reflected;
  if (source[0] & 1) return V::BadSourceMac;
  bool linkGroup = destination[0] & 1;
  if (!linkGroup && !(destination == own)) return V::ForeignMac;

  auto packet = head.slice(ETHERNET, head.size());
  size_t available = total - ETHERNET;
  // Larger than the link carries: only a TCP segment that the device has put together may be.
  if (available > view.mtu && (tcpHeaderLength(head) == 0 || available > 65535)) return V::Oversized;
  switch (be16(head, 12)) {
    case TYPE_ARP:
      return checkArp(packet, view);
    case TYPE_IPV4:
      return checkIpv4(packet, available, linkGroup, view);
    case TYPE_IPV6:
      return checkIpv6(packet, available, linkGroup, view);
    default:
      return V::UnknownType;
  }
}

size_t FrameFilter::tcpHeaderLength(kj::ArrayPtr<const kj::byte> head) {
  if (head.size() < ETHERNET + 20) return 0;
  size_t transport = 0;
  auto packet = head.slice(ETHERNET, head.size());
  if (be16(head, 12) == TYPE_IPV4) {
    size_t headerLength = (packet[0] & 15) * 4;
    bool fragment = be16(packet, 6) & 0x3fff;
    if (packet[0] >> 4 != 4 || headerLength < 20 || packet[9] != TCP || fragment) return 0;
    transport = ETHERNET + headerLength;
  } else if (be16(head, 12) == TYPE_IPV6 && packet.size() >= 40) {
    if (packet[0] >> 4 != 6 || packet[6] != TCP) return 0;
    transport = ETHERNET + 40;
  } else {
    return 0;
  }
  if (head.size() < transport + 20) return 0;
  size_t tcpHeader = (head[transport + 12] >> 4) * 4;
  if (tcpHeader < 20 || head.size() < transport + tcpHeader) return 0;
  return transport + tcpHeader;
}

kj::StringPtr KJ_STRINGIFY(FilterVerdict verdict) {
  switch (verdict) {
    case V::Pass:
      return "Pass";
#define NEXUS_VERDICT(name) \
  case V::name:             \
    return #name;
      NEXUS_FILTER_VERDICTS(NEXUS_VERDICT)
#undef NEXUS_VERDICT
  }
  return "?";
}

}  // namespace nexus
