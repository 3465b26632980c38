#include "tools/vmtest/packet-decode.h"

#include <kj/debug.h>

#include <cstring>

namespace nexus::vmtest {

namespace {

using Bytes = kj::ArrayPtr<const kj::byte>;

uint16_t u16(Bytes b, size_t at) {
  return uint16_t(b[at] << 8 | b[at + 1]);
}

void decodeArp(Bytes arp, Packet& packet) {
  // RFC 826, for Ethernet and IPv4.
  if (arp.size() < 28 || u16(arp, 2) != 0x0800 || arp[4] != 6 || arp[5] != 4) return;
  packet.kind = Packet::Kind::ARP;
  packet.source = IpAddress::fromBytes(arp.slice(14, 18));
  packet.destination = IpAddress::fromBytes(arp.slice(24, 28));
}

// first: not a fragment behind the first.
void decodeTransport(kj::byte protocol, Bytes body, bool first, Packet& packet) {
  if (protocol == 1 || protocol == 58) {
    packet.kind = Packet::Kind::ICMP;
  } else if (protocol == 17) {
    packet.kind = Packet::Kind::UDP;
    if (!first || body.size() < 8) return;
    packet.sourcePort = u16(body, 0);
    packet.destinationPort = u16(body, 2);
    packet.payload = uint32_t(body.size() - 8);
  } else if (protocol == 6) {
    packet.kind = Packet::Kind::TCP;
    if (!first || body.size() < 20) return;
    size_t tcpHeader = size_t(body[12] >> 4) * 4;
    if (tcpHeader < 20 || tcpHeader > body.size()) return;
    packet.sourcePort = u16(body, 0);
    packet.destinationPort = u16(body, 2);
    packet.tcpFlags = body[13];
    packet.payload = uint32_t(body.size() - tcpHeader);
  }
}

void decodeIpv4(Bytes ip, Packet& packet) {
  // RFC 791, section 3.1.
  if (ip.size() < 20 || ip[0] >> 4 != 4) return;
  size_t header = size_t(ip[0] & 15) * 4, total = u16(ip, 2);
  if (header < 20 || total < header || total > ip.size()) return;
  packet.source = IpAddress::fromBytes(ip.slice(12, 16));
  packet.destination = IpAddress::fromBytes(ip.slice(16, 20));
  decodeTransport(ip[9], ip.slice(header, total), (u16(ip, 6) & 0x1fff) == 0, packet);
}

void decodeIpv6(Bytes ip, Packet& packet) {
  // RFC 8200, section 3. MLD stands behind a hop-by-hop header; what else has extension headers stays undecoded.
  if (ip.size() < 40 || ip[0] >> 4 != 6) return;
  size_t total = size_t(40) + u16(ip, 4);
  if (total > ip.size()) return;
  packet.source = IpAddress::fromBytes(ip.slice(8, 24));
  packet.destination = IpAddress::fromBytes(ip.slice(24, 40));
  bool isMld = ip[6] == 0 && total >= 48 && ip[40] == 58 && ip[41] == 0;
  decodeTransport(isMld ? ip[40] : ip[6], ip.slice(isMld ? 48 : 40, total), true, packet);
}

}  // namespace

Packet decodePacket(Bytes frame) {
  Packet packet;
  if (frame.size() < 14) return packet;
  memcpy(packet.destinationMac, frame.begin(), 6);
  memcpy(packet.sourceMac, frame.begin() + 6, 6);
  uint16_t type = u16(frame, 12);
  if (type == 0x0806) decodeArp(frame.slice(14, frame.size()), packet);
  if (type == 0x0800) decodeIpv4(frame.slice(14, frame.size()), packet);
  if (type == 0x86dd) decodeIpv6(frame.slice(14, frame.size()), packet);
  return packet;
}

kj::String describe(const Packet& p) {
  SocketAddress from{p.source, p.sourcePort}, to{p.destination, p.destinationPort};
  switch (p.kind) {
    case Packet::Kind::OTHER:
      return kj::str("another protocol");
    case Packet::Kind::ARP:
      return kj::str(p.source, " > ", p.destination, " ARP");
    case Packet::Kind::ICMP:
      return kj::str(p.source, " > ", p.destination, " ICMP");
    case Packet::Kind::UDP:
      return kj::str(from, " > ", to, " UDP, ", p.payload, " bytes");
    case Packet::Kind::TCP:
      break;
  }
  kj::StringPtr flags = p.isSyn()                  ? "SYN"_kj
                        : p.isSynAck()             ? "SYN-ACK"_kj
                        : p.isRst()                ? "RST"_kj
                        : p.tcpFlags & Packet::FIN ? "FIN"_kj
                                                   : "ACK"_kj;
  return kj::str(from, " > ", to, " TCP ", flags, ", ", p.payload, " bytes");
}

}  // namespace nexus::vmtest
