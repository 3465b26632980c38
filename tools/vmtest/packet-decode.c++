#include "tools/vmtest/packet-decode.h"

#include <kj/debug.h>

#include <cstring>

namespace nexus::vmtest {

namespace {

using Bytes = kj::ArrayPtr<const kj::byte>;

uint16_t u16(Bytes b, size_t at) {
  return uint16_t(b[at] << 8 | b[at + 1]);
}
uint32_t u32(Bytes b, size_t at) {
  return uint32_t(u16(b, at)) << 16 | u16(b, at + 2);
}

void decodeArp(Bytes arp, Packet& packet) {
  // RFC 826, for Ethernet and IPv4.
  if (arp.size() < 28 || u16(arp, 2) != 0x0800 || arp[4] != 6 || arp[5] != 4) return;
  packet.kind = Packet::Kind::ARP;
  packet.source = u32(arp, 14);
  packet.destination = u32(arp, 24);
}

void decodeIpv4(Bytes ip, Packet& packet) {
  // RFC 791, section 3.1.
  if (ip.size() < 20 || ip[0] >> 4 != 4) return;
  size_t header = size_t(ip[0] & 15) * 4, total = u16(ip, 2);
  if (header < 20 || total < header || total > ip.size()) return;
  packet.source = u32(ip, 12);
  packet.destination = u32(ip, 16);
  bool first = (u16(ip, 6) & 0x1fff) == 0;
  Bytes body = ip.slice(header, total);
  if (ip[9] == 1) {
    packet.kind = Packet::Kind::ICMP;
  } else if (ip[9] == 17) {
    packet.kind = Packet::Kind::UDP;
    if (!first || body.size() < 8) return;
    packet.sourcePort = u16(body, 0);
    packet.destinationPort = u16(body, 2);
    packet.payload = uint32_t(body.size() - 8);
  } else if (ip[9] == 6) {
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

}  // namespace

Packet decodePacket(Bytes frame) {
  Packet packet;
  if (frame.size() < 14) return packet;
  memcpy(packet.destinationMac, frame.begin(), 6);
  memcpy(packet.sourceMac, frame.begin() + 6, 6);
  uint16_t type = u16(frame, 12);
  if (type == 0x0806) decodeArp(frame.slice(14, frame.size()), packet);
  if (type == 0x0800) decodeIpv4(frame.slice(14, frame.size()), packet);
  return packet;
}

kj::String ipv4Text(uint32_t a) {
  return kj::str(a >> 24, '.', (a >> 16) & 255, '.', (a >> 8) & 255, '.', a & 255);
}

kj::String describe(const Packet& p) {
  auto source = ipv4Text(p.source), destination = ipv4Text(p.destination);
  switch (p.kind) {
    case Packet::Kind::OTHER:
      return kj::str("another protocol");
    case Packet::Kind::ARP:
      return kj::str(source, " > ", destination, " ARP");
    case Packet::Kind::ICMP:
      return kj::str(source, " > ", destination, " ICMP");
    case Packet::Kind::UDP:
      return kj::str(source, ':', p.sourcePort, " > ", destination, ':', p.destinationPort, " UDP, ", p.payload,
                     " bytes");
    case Packet::Kind::TCP:
      break;
  }
  kj::StringPtr flags = p.isSyn()                  ? "SYN"_kj
                        : p.isSynAck()             ? "SYN-ACK"_kj
                        : p.isRst()                ? "RST"_kj
                        : p.tcpFlags & Packet::FIN ? "FIN"_kj
                                                   : "ACK"_kj;
  return kj::str(source, ':', p.sourcePort, " > ", destination, ':', p.destinationPort, " TCP ", flags, ", ", p.payload,
                 " bytes");
}

}  // namespace nexus::vmtest
