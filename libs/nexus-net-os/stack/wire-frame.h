#pragma once
// Builds and takes apart Ethernet frames with ARP, IPv4, TCP, UDP and ICMP, for tests: a second opinion, sharing no
// code with lwIP. Checksums are filled in and checked here.
#include <kj/array.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/net/ip-address.h"
#include "libs/nexus-net-os/net/mac-address.h"

namespace nexus {

using Bytes = kj::Array<kj::byte>;

inline kj::ArrayPtr<const kj::byte> bytesOf(kj::StringPtr text) {
  return text.asBytes();
}
inline kj::String textOf(kj::ArrayPtr<const kj::byte> bytes) {
  return kj::str(bytes.asChars());
}

// "52 54 00 ..." with spaces anywhere.
Bytes fromHex(kj::StringPtr hex);

// Ethernet header and payload; not padded.
Bytes ethernetFrame(const MacAddress& to, const MacAddress& from, uint16_t type, kj::ArrayPtr<const kj::byte> payload);

struct Ipv4Fields {
  IpAddress source, destination;
  kj::byte protocol = 0;
  kj::byte ttl = 64;
  uint16_t identification = 1;
  uint16_t fragment = 0;  // flags and offset as on the wire
};
Bytes ipv4Packet(const Ipv4Fields& fields, kj::ArrayPtr<const kj::byte> payload);

Bytes arpPacket(uint16_t operation, const MacAddress& senderMac, IpAddress sender, const MacAddress& targetMac,
                IpAddress target);

Bytes udpDatagram(IpAddress source, IpAddress destination, uint16_t sourcePort, uint16_t destinationPort,
                  kj::ArrayPtr<const kj::byte> payload);

Bytes icmpEcho(kj::byte type, uint16_t identifier, uint16_t sequence, kj::ArrayPtr<const kj::byte> payload);

struct TcpFields {
  static constexpr kj::byte FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16;
  uint16_t sourcePort = 0, destinationPort = 0;
  uint32_t sequence = 0, acknowledgement = 0;
  kj::byte flags = 0;
  uint16_t window = 65535;
};
Bytes tcpSegment(IpAddress source, IpAddress destination, const TcpFields& fields, kj::ArrayPtr<const kj::byte> payload,
                 kj::ArrayPtr<const kj::byte> options = nullptr);

// A frame taken apart, as far as it goes. Spans point into `bytes`.
struct WireFrame {
  Bytes bytes;
  MacAddress to, from;
  uint16_t type = 0;
  // IPv4
  IpAddress source, destination;
  kj::byte protocol = 0, ttl = 0;
  uint16_t identification = 0, fragment = 0;
  // UDP or TCP
  TcpFields tcp;
  uint16_t sourcePort = 0, destinationPort = 0;
  kj::ArrayPtr<const kj::byte> options;
  kj::ArrayPtr<const kj::byte> packet;   // behind Ethernet
  kj::ArrayPtr<const kj::byte> payload;  // behind the innermost header that is understood
  bool checksumsRight = true;

  bool isArp() const { return type == 0x0806; }
  bool isTcp() const { return type == 0x0800 && protocol == 6; }
  bool isUdp() const { return type == 0x0800 && protocol == 17; }
  bool isIcmp() const { return type == 0x0800 && protocol == 1; }
  bool isIgmp() const { return type == 0x0800 && protocol == 2; }
  bool has(kj::byte flags) const { return isTcp() && (tcp.flags & flags) == flags; }
};
WireFrame parseFrame(Bytes bytes);

}  // namespace nexus
