#pragma once
// An Ethernet address (IEEE 802, 48 bits). A value; owns nothing.
#include <kj/common.h>
#include <kj/string.h>

#include <array>
#include <compare>

namespace nexus {

struct MacAddress {
  std::array<kj::byte, 6> bytes{};

  bool operator==(const MacAddress&) const = default;

  // The I/G bit: multicast and broadcast, never a legal source.
  bool isGroup() const { return bytes[0] & 1; }

  // "52:54:00:12:34:0a"; null when the text is anything else.
  static kj::Maybe<MacAddress> tryParse(kj::StringPtr text);

  // FAILED unless exactly 6 bytes.
  static MacAddress fromBytes(kj::ArrayPtr<const kj::byte> bytes);
};

kj::String KJ_STRINGIFY(const MacAddress& mac);

}  // namespace nexus
