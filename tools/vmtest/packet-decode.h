#pragma once
// What a frame says in its headers: Ethernet, ARP, IPv4, IPv6, TCP, UDP. For counting and for explaining a failure,
// never for deciding about traffic. Pure; any bytes are allowed, whatever is not whole stays undecoded.
#include <kj/common.h>
#include <kj/string.h>

#include <cstdint>

#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus::vmtest {

struct Packet {
  enum class Kind : kj::byte { OTHER, ARP, ICMP, UDP, TCP };

  static constexpr kj::byte FIN = 0x01, SYN = 0x02, RST = 0x04, ACK = 0x10;

  Kind kind = Kind::OTHER;
  kj::byte sourceMac[6] = {};
  kj::byte destinationMac[6] = {};
  IpAddress source, destination;                 // `any` when there are none
  uint16_t sourcePort = 0, destinationPort = 0;  // 0 for fragments behind the first
  kj::byte tcpFlags = 0;
  uint32_t payload = 0;  // bytes behind the TCP or UDP header, by the IP length

  bool isSyn() const { return kind == Kind::TCP && (tcpFlags & (SYN | ACK)) == SYN; }
  bool isSynAck() const { return kind == Kind::TCP && (tcpFlags & (SYN | ACK)) == (SYN | ACK); }
  bool isRst() const { return kind == Kind::TCP && (tcpFlags & RST) != 0; }
  bool usesPort(uint16_t port) const { return sourcePort == port || destinationPort == port; }
};

Packet decodePacket(kj::ArrayPtr<const kj::byte> frame);

// "10.42.0.10:49152 > 10.42.0.11:34568 TCP SYN, 0 bytes"
kj::String describe(const Packet& packet);

}  // namespace nexus::vmtest
