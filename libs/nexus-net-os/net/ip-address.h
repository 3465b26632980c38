#pragma once
// An IP address typed by its family, and the way between it and the schema's form. A value; owns nothing. Fails closed:
// a family comes with exactly its number of bytes (4 or 16), in the schema and here.
#include <kj/common.h>
#include <kj/hash.h>
#include <kj/string.h>

#include <array>

#include "idl/common.capnp.h"

namespace nexus {

class IpAddress {
 public:
  enum class Family : kj::byte { ANY, V4, V6 };

  // The unspecified address, of no family.
  constexpr IpAddress() = default;

  static constexpr IpAddress v4(kj::byte a, kj::byte b, kj::byte c, kj::byte d) {
    IpAddress address;
    address.kind = Family::V4;
    address.octets[0] = a, address.octets[1] = b, address.octets[2] = c, address.octets[3] = d;
    return address;
  }

  // Host order: 0x0a000202 is 10.0.2.2.
  static constexpr IpAddress v4(uint32_t hostOrder) {
    return v4(hostOrder >> 24, hostOrder >> 16 & 255, hostOrder >> 8 & 255, hostOrder & 255);
  }

  // 4 or 16 bytes in network order; FAILED for any other length.
  static IpAddress fromBytes(kj::ArrayPtr<const kj::byte> bytes);

  // Dotted quad, RFC 5952 text or "*" (any). Null for anything else.
  static kj::Maybe<IpAddress> tryParse(kj::StringPtr text);

  // FAILED when the length does not fit the family, or when it is `any` and that is not allowed here.
  enum class AllowAny { NO, YES };
  static IpAddress fromIdl(idl::IpAddress::Reader reader, AllowAny allowAny = AllowAny::NO);
  void toIdl(idl::IpAddress::Builder builder) const;

  Family family() const { return kind; }
  bool isAny() const { return kind == Family::ANY; }
  bool isV4() const { return kind == Family::V4; }
  bool isV6() const { return kind == Family::V6; }
  bool isMulticast() const;

  // Empty, 4 or 16 bytes, network order.
  kj::ArrayPtr<const kj::byte> bytes() const;

  // Host order; FAILED unless v4.
  uint32_t v4Value() const;

  // Whether the first `prefixLength` bits agree. Different families never do; `any` as the network matches everything.
  bool isIn(const IpAddress& network, kj::byte prefixLength) const;

  bool operator==(const IpAddress&) const = default;
  kj::uint hashCode() const { return kj::hashCode(bytes()); }  // as a key of kj::HashMap

 private:
  Family kind = Family::ANY;
  std::array<kj::byte, 16> octets{};
};

struct SocketAddress {
  IpAddress address;
  uint16_t port = 0;

  static SocketAddress fromIdl(idl::SocketAddress::Reader reader,
                               IpAddress::AllowAny allowAny = IpAddress::AllowAny::NO);
  void toIdl(idl::SocketAddress::Builder builder) const;

  // "10.0.2.2:53", "[fe80::1]:53", "*:0". Null for anything else.
  static kj::Maybe<SocketAddress> tryParse(kj::StringPtr text);

  bool operator==(const SocketAddress&) const = default;
};

kj::String KJ_STRINGIFY(const IpAddress& address);
kj::String KJ_STRINGIFY(const SocketAddress& address);

}  // namespace nexus
