#include "libs/nexus-net-os/net/ip-address.h"

#include <arpa/inet.h>
#include <kj/debug.h>

#include <algorithm>

namespace nexus {

IpAddress IpAddress::fromBytes(kj::ArrayPtr<const kj::byte> bytes) {
  IpAddress address;
  KJ_REQUIRE(bytes.size() == 4 || bytes.size() == 16, "an IP address has 4 or 16 bytes", bytes.size());
  address.kind = bytes.size() == 4 ? Family::V4 : Family::V6;
  std::copy(bytes.begin(), bytes.end(), address.octets.begin());
  return address;
}

kj::Maybe<IpAddress> IpAddress::tryParse(kj::StringPtr text) {
  if (text == "*") return IpAddress();
  kj::byte bytes[16];
  if (inet_pton(AF_INET, text.cStr(), bytes) == 1) return fromBytes(kj::arrayPtr(bytes, 4));
  if (inet_pton(AF_INET6, text.cStr(), bytes) == 1) return fromBytes(bytes);
  return nullptr;
}

IpAddress IpAddress::fromIdl(idl::IpAddress::Reader reader, AllowAny allowAny) {
  switch (reader.which()) {
    case idl::IpAddress::V4:
      KJ_REQUIRE(reader.getV4().size() == 4, "an IPv4 address has 4 bytes", reader.getV4().size());
      return fromBytes(reader.getV4());
    case idl::IpAddress::V6:
      KJ_REQUIRE(reader.getV6().size() == 16, "an IPv6 address has 16 bytes", reader.getV6().size());
      return fromBytes(reader.getV6());
    case idl::IpAddress::ANY:
      KJ_REQUIRE(allowAny == AllowAny::YES, "an address is needed here");
      return {};
  }
  KJ_FAIL_REQUIRE("an address family that this version does not know");
}

void IpAddress::toIdl(idl::IpAddress::Builder builder) const {
  switch (kind) {
    case Family::ANY:
      builder.setAny();
      break;
    case Family::V4:
      builder.setV4(bytes());
      break;
    case Family::V6:
      builder.setV6(bytes());
      break;
  }
}

bool IpAddress::isMulticast() const {
  return (isV4() && octets[0] >> 4 == 0xe) || (isV6() && octets[0] == 0xff);
}

kj::ArrayPtr<const kj::byte> IpAddress::bytes() const {
  return kj::arrayPtr(octets.data(), isAny() ? 0 : isV4() ? 4 : 16);
}

uint32_t IpAddress::v4Value() const {
  KJ_REQUIRE(isV4(), "not an IPv4 address");
  return uint32_t(octets[0]) << 24 | uint32_t(octets[1]) << 16 | uint32_t(octets[2]) << 8 | octets[3];
}

bool IpAddress::isIn(const IpAddress& network, kj::byte prefixLength) const {
  if (network.isAny()) return true;
  if (network.kind != kind) return false;
  auto ours = bytes(), theirs = network.bytes();
  KJ_REQUIRE(prefixLength <= ours.size() * 8, "prefix longer than the address", prefixLength);
  for (size_t bit = 0; bit < prefixLength; bit++) {
    if ((ours[bit / 8] ^ theirs[bit / 8]) & (0x80 >> bit % 8)) return false;
  }
  return true;
}

SocketAddress SocketAddress::fromIdl(idl::SocketAddress::Reader reader, IpAddress::AllowAny allowAny) {
  return {IpAddress::fromIdl(reader.getAddress(), allowAny), reader.getPort()};
}

void SocketAddress::toIdl(idl::SocketAddress::Builder builder) const {
  address.toIdl(builder.initAddress());
  builder.setPort(port);
}

kj::Maybe<SocketAddress> SocketAddress::tryParse(kj::StringPtr text) {
  KJ_IF_MAYBE (colon, text.findLast(':')) {
    auto host = kj::heapString(text.slice(0, *colon));
    if (host.startsWith("[") && host.endsWith("]")) host = kj::heapString(host.slice(1, host.size() - 1));
    auto port = text.slice(*colon + 1);
    if (port.size() == 0 || port.size() > 5 ||
        !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }))
      return nullptr;
    auto number = port.parseAs<uint32_t>();
    if (number > 65535) return nullptr;
    return IpAddress::tryParse(host).map([&](IpAddress&& address) { return SocketAddress{address, uint16_t(number)}; });
  }
  return nullptr;
}

kj::String KJ_STRINGIFY(const IpAddress& address) {
  if (address.isAny()) return kj::str("*");
  char text[INET6_ADDRSTRLEN];
  inet_ntop(address.isV4() ? AF_INET : AF_INET6, address.bytes().begin(), text, sizeof(text));
  return kj::heapString(text);
}

kj::String KJ_STRINGIFY(const SocketAddress& address) {
  return address.address.isV6() ? kj::str("[", address.address, "]:", address.port)
                                : kj::str(address.address, ":", address.port);
}

}  // namespace nexus
