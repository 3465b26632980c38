#include "daemons/dsoftbusd/trust/trust-table.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

TrustedPeer peer(kj::StringPtr name, kj::StringPtr identity) {
  return {kj::str(name), DeviceIdentity::forTest(identity).publicIdentity()};
}

TEST_CASE("a proven identity binds to its entry, by device id and static key together") {
  TrustTable table(kj::arr(peer("node-a", "a"), peer("node-b", "b")));
  auto bound = table.bind(DeviceIdentity::forTest("b").publicIdentity());
  REQUIRE(bound.is<const TrustedPeer*>());
  CHECK(bound.get<const TrustedPeer*>()->name == "node-b");

  auto otherKey = DeviceIdentity::forTest("b").publicIdentity();
  otherKey.staticKey = DeviceIdentity::forTest("a").publicIdentity().staticKey;
  CHECK(table.bind(otherKey).is<kj::String>());
  CHECK(table.bind(DeviceIdentity::forTest("c").publicIdentity()).is<kj::String>());
}

TEST_CASE("an empty table binds nobody") {
  CHECK(TrustTable().bind(DeviceIdentity::forTest("a").publicIdentity()).is<kj::String>());
}

TEST_CASE("a name or a device twice is refused") {
  CHECK_THROWS(TrustTable(kj::arr(peer("x", "a"), peer("x", "b"))));
  CHECK_THROWS(TrustTable(kj::arr(peer("x", "a"), peer("y", "a"))));
}

}  // namespace
}  // namespace nexus
