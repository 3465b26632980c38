#include "libs/nexus-net-os/net/ip-address.h"

#include <capnp/message.h>
#include <doctest/doctest.h>

#include "libs/nexus-net-os/net/mac-address.h"

namespace nexus {
namespace {

TEST_CASE("an address of a family has exactly its bytes, or the call fails") {
  for (size_t length = 0; length <= 17; length++) {
    capnp::MallocMessageBuilder message;
    auto builder = message.initRoot<idl::IpAddress>();
    builder.initV4(length);
    if (length == 4)
      CHECK(IpAddress::fromIdl(builder.asReader()).isV4());
    else
      CHECK_THROWS(IpAddress::fromIdl(builder.asReader()));
    builder.initV6(length);
    if (length == 16)
      CHECK(IpAddress::fromIdl(builder.asReader()).isV6());
    else
      CHECK_THROWS(IpAddress::fromIdl(builder.asReader()));
  }
}

TEST_CASE("the unspecified address is legal only where the caller says so") {
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<idl::IpAddress>();
  builder.setAny();
  CHECK_THROWS(IpAddress::fromIdl(builder.asReader()));
  CHECK(IpAddress::fromIdl(builder.asReader(), IpAddress::AllowAny::YES).isAny());
}

TEST_CASE("text becomes an address and the same text again") {
  for (auto text : {"10.0.2.15:53", "[fe80::1]:0", "*:65535", "255.255.255.255:1"}) {
    CHECK(kj::str(KJ_ASSERT_NONNULL(SocketAddress::tryParse(text))) == text);
  }
  for (auto text : {"", "10.0.2.15", "10.0.2:1", "10.0.2.15:", "10.0.2.15:65536", "10.0.2.15:1x", "fe80::g:1", ":1"}) {
    CHECK_MESSAGE(SocketAddress::tryParse(text) == nullptr, text);
  }
}

TEST_CASE("a prefix matches whole and part bytes, and never another family") {
  auto address = IpAddress::v4(10, 42, 0, 10);
  CHECK(address.isIn(IpAddress::v4(10, 42, 0, 0), 24));
  CHECK(address.isIn(IpAddress::v4(10, 42, 0, 8), 29));
  CHECK_FALSE(address.isIn(IpAddress::v4(10, 42, 0, 16), 29));
  CHECK(address.isIn(IpAddress::v4(0, 0, 0, 0), 0));
  CHECK_FALSE(address.isIn(KJ_ASSERT_NONNULL(IpAddress::tryParse("::")), 0));
  CHECK(address.isIn(IpAddress(), 0));
}

TEST_CASE("a MAC address is six bytes in hexadecimal with colons") {
  CHECK(kj::str(KJ_ASSERT_NONNULL(MacAddress::tryParse("52:54:00:12:34:0A"))) == "52:54:00:12:34:0a");
  for (auto text : {"", "52:54:00:12:34", "52-54-00-12-34-0a", "52:54:00:12:34:0g", "52:54:00:12:34:0a:"}) {
    CHECK_MESSAGE(MacAddress::tryParse(text) == nullptr, text);
  }
  CHECK_THROWS(MacAddress::fromBytes(kj::arrayPtr(reinterpret_cast<const kj::byte*>("abcde"), 5)));
}

}  // namespace
}  // namespace nexus
