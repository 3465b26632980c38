#pragma once
// ARP over Ethernet for IPv4 (RFC 826), as much as one question and one answer need. Pure.
#include <kj/array.h>

#include <array>
#include <cstdint>

#include "libs/nexus-net-os/net/mac-address.h"

namespace nexus {

using Ipv4Bytes = std::array<kj::byte, 4>;

struct ArpPacket {
  static constexpr size_t SIZE = 42;  // bytes, Ethernet header included
  static constexpr uint16_t REQUEST = 1;
  static constexpr uint16_t REPLY = 2;

  uint16_t operation = REQUEST;
  MacAddress senderMac;
  Ipv4Bytes senderIp{};
  MacAddress targetMac;
  Ipv4Bytes targetIp{};

  bool operator==(const ArpPacket&) const = default;

  // The whole Ethernet frame: a request goes to everybody, a reply to its target.
  kj::Array<kj::byte> encode() const;

  // Null for anything that is not an ARP packet for IPv4 over Ethernet. Padding behind it is ignored.
  static kj::Maybe<ArpPacket> tryParse(kj::ArrayPtr<const kj::byte> frame);
};

}  // namespace nexus
