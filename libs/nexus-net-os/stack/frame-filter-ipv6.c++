#include "libs/nexus-net-os/stack/frame-filter-ipv6.h"

#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

using V = FilterVerdict;
using Bytes = kj::ArrayPtr<const kj::byte>;

constexpr size_t HEADER = 40;
constexpr kj::byte HOP_BY_HOP = 0, TCP = 6, UDP = 17, ROUTING = 43, FRAGMENT = 44, ICMP6 = 58, NONE = 59,
                   DESTINATION = 60;
constexpr kj::byte PACKET_TOO_BIG = 2, ROUTER_SOLICIT = 133, ROUTER_ADVERT = 134, NEIGHBOUR_SOLICIT = 135,
                   NEIGHBOUR_ADVERT = 136, REDIRECT = 137;

bool isUnspecified(Bytes a) {
  for (kj::byte b : a) {
    if (b != 0) return false;
  }
  return true;
}

bool isLoopback(Bytes a) {
  return isUnspecified(a.slice(0, 15)) && a[15] == 1;
}
bool isV4Mapped(Bytes a) {
  return isUnspecified(a.slice(0, 10)) && be16(a, 10) == 0xffff;
}
bool isLinkLocal(Bytes a) {
  return a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
}

bool isSolicitedNode(Bytes a) {
  static constexpr kj::byte PREFIX[13] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  return a.slice(0, 13) == kj::ArrayPtr<const kj::byte>(PREFIX);
}

bool isOwn(Bytes a, const FilterView& view) {
  for (size_t i = 0; i < view.ipv6Count; ++i) {
    if (a == kj::arrayPtr(view.ipv6[i].data(), 16)) return true;
  }
  return false;
}

// Options of neighbour discovery (RFC 4861, 4.6): in units of 8 bytes, none of length 0, none beyond the end, and of
// the length its type has. True when there is none of type `forbidden` either.
bool optionsAreSound(Bytes options, kj::byte forbidden) {
  while (options.size() > 0) {
    if (options.size() < 2 || options[1] == 0) return false;
    size_t length = options[1] * size_t(8);
    if (length > options.size()) return false;
    kj::byte type = options[0], units = options[1];
    if (type == forbidden) return false;
    if (type == 3 && units != 4) return false;                      // prefix information
    if (type == 5 && units != 1) return false;                      // MTU
    if (type == 25 && (units < 3 || units % 2 == 0)) return false;  // RDNSS, RFC 8106
    options = options.slice(length, options.size());
  }
  return true;
}

// RFC 4861, 6.1, 7.1 and 8.1.
V checkNeighbour(Bytes ip, Bytes icmp, const FilterView& view) {
  Bytes source = ip.slice(8, 24), destination = ip.slice(24, 40);
  if (ip[7] != 255 || icmp[1] != 0) return V::BadNeighbour;
  constexpr kj::byte SOURCE_LINK = 1, NOTHING = 0;
  auto sound = [&](size_t fixed, kj::byte forbidden) {
    return icmp.size() >= fixed && optionsAreSound(icmp.slice(fixed, icmp.size()), forbidden);
  };
  bool unspecified = isUnspecified(source);
  switch (icmp[0]) {
    case ROUTER_SOLICIT:
      return sound(8, unspecified ? SOURCE_LINK : NOTHING) ? V::Pass : V::BadNeighbour;
    case ROUTER_ADVERT:
      return sound(16, NOTHING) && isLinkLocal(source) ? V::Pass : V::BadNeighbour;
    case NEIGHBOUR_SOLICIT:
      if (!sound(24, unspecified ? SOURCE_LINK : NOTHING) || icmp[8] == 0xff) return V::BadNeighbour;
      return unspecified && !isSolicitedNode(destination) ? V::BadNeighbour : V::Pass;
    case NEIGHBOUR_ADVERT:
      // An answer to a solicitation is never multicast.
      if (!sound(24, NOTHING) || icmp[8] == 0xff) return V::BadNeighbour;
      return destination[0] == 0xff && icmp[4] & 0x40 ? V::BadNeighbour : V::Pass;
    default:
      return sound(40, NOTHING) && isLinkLocal(source) && icmp[24] != 0xff ? V::Pass : V::BadNeighbour;
  }
}

V checkIcmp6(Bytes ip, Bytes icmp, bool direct, const FilterView& view) {
  if (icmp.size() < 8) return V::Truncated;
  if (icmp[0] == PACKET_TOO_BIG) {
    // RFC 8201, 4: no link of IPv6 is smaller. The packet it quotes must be there, and nothing stands between the
    // headers.
    return be32(icmp, 4) >= 1280 && icmp.size() >= 8 + HEADER && direct ? V::Pass : V::BadPacketTooBig;
  }
  if (icmp[0] >= ROUTER_SOLICIT && icmp[0] <= REDIRECT) return checkNeighbour(ip, icmp, view);
  return V::Pass;
}

// A header that is one of a fragment's: only what must not be fragmented is looked for.
V checkFragment(Bytes header, size_t payload) {
  if (payload < 8) return V::Truncated;
  size_t offset = be16(header, 2) & 0xfff8;
  bool more = header[3] & 1;
  size_t length = payload - 8;
  if (length == 0 || offset + length > 65535 || (more && length % 8 != 0)) return V::BadFragment;
  if (offset == 0 && header.size() >= 9 && header[0] == ICMP6) {
    // RFC 6980: neighbour discovery is never fragmented.
    kj::byte type = header[8];
    if (type >= ROUTER_SOLICIT && type <= REDIRECT) return V::BadNeighbour;
  }
  // RFC 7112: the whole header chain is in the first fragment.
  if (offset == 0 && ((header[0] == TCP && length < 20) || (header[0] == UDP && length < 8))) return V::BadFragment;
  return V::Pass;
}

V checkUdp6(kj::ArrayPtr<kj::byte> ip, size_t at, size_t end) {
  if (end - at < 8) return V::Truncated;
  size_t length = be16(ip, at + 4);
  if (length < 8 || length > end - at) return V::BadLength;
  if (be16(ip, at + 6) == 0) return V::ZeroChecksum;  // RFC 8200, 8.1
  if (length < end - at) putBe16(ip, 4, at - HEADER + length);
  return V::Pass;
}

V checkTransport(kj::ArrayPtr<kj::byte> ip, kj::byte protocol, size_t at, size_t end, const FilterView& view) {
  if (protocol == TCP) {
    if (end - at < 20 || ip.size() < at + 20) return V::Truncated;
    size_t tcpHeader = (ip[at + 12] >> 4) * 4;
    return tcpHeader < 20 || tcpHeader > end - at ? V::BadLength : V::Pass;
  }
  // Everything but TCP comes whole.
  if (ip.size() < end) return V::Oversized;
  if (protocol == UDP) return checkUdp6(ip, at, end);
  if (protocol == ICMP6) return checkIcmp6(ip, ip.slice(at, end), at == HEADER, view);
  return V::Pass;
}

V checkIpv6Addresses(Bytes source, Bytes destination, kj::byte protocol, const FilterView& view) {
  if (source[0] == 0xff || isLoopback(source) || isV4Mapped(source)) return V::Martian;
  if (isLoopback(destination)) return V::LoopbackDestination;
  if (isUnspecified(destination) || isV4Mapped(destination)) return V::Martian;
  if (isOwn(source, view)) return V::Land;
  // RFC 4291, 2.5.2; duplicate address detection and MLD use it (MLD behind a hop-by-hop header).
  if (isUnspecified(source) && protocol != ICMP6 && protocol != HOP_BY_HOP) return V::Martian;
  return V::Pass;
}

}  // namespace

FilterVerdict checkIpv6(kj::ArrayPtr<kj::byte> ip, size_t available, bool linkGroup, const FilterView& view) {
  if (ip.size() < HEADER) return V::Truncated;
  size_t end = HEADER + be16(ip, 4);
  if (ip[0] >> 4 != 6 || end > available) return V::BadLength;
  Bytes source = ip.slice(8, 24), destination = ip.slice(24, 40);
  kj::byte protocol = ip[6];
  V verdict = checkIpv6Addresses(source, destination, protocol, view);
  if (verdict != V::Pass) return verdict;
  if (linkGroup && protocol == TCP) return V::LinkBroadcast;

  size_t at = HEADER;
  for (int headers = 0; headers <= 8; ++headers) {
    switch (protocol) {
      case HOP_BY_HOP:
        if (at != HEADER) return V::BadLength;  // RFC 8200, 4.1: first or nowhere
        [[fallthrough]];
      case DESTINATION:
      case ROUTING: {
        if (end - at < 8) return V::Truncated;
        if (ip.size() < at + 8) return V::Oversized;
        if (protocol == ROUTING && ip[at + 2] == 0) return V::SourceRoute;  // RFC 5095
        size_t length = (ip[at + 1] + size_t(1)) * 8;
        if (length > end - at) return V::BadLength;
        protocol = ip[at];
        at += length;
        break;
      }
      case FRAGMENT:
        if (ip.size() < end) return V::Oversized;
        return checkFragment(ip.slice(at, end), end - at);
      case NONE:
        return V::Pass;
      default:
        return checkTransport(ip, protocol, at, end, view);
    }
  }
  return V::BadLength;  // a chain of headers without end
}

}  // namespace nexus
