#include "daemons/dsoftbusd/trust/trust-keeper.h"

#include <doctest/doctest.h>

#include "daemons/dsoftbusd/trust/memory-trust-store.h"

namespace nexus {
namespace {

using Obstacle = TrustKeeper::Obstacle;
using Removed = TrustKeeper::Removed;

PublicIdentity identity(kj::StringPtr text) {
  return DeviceIdentity::forTest(text).publicIdentity();
}
TrustedPeer peer(kj::StringPtr name, kj::StringPtr text) {
  return {kj::str(name), identity(text)};
}
kj::String names(const TrustKeeper& keeper) {
  return kj::strArray(KJ_MAP(p, keeper.merged()) { return kj::str(p.name, p.paired ? "*" : ""); }, " ");
}
bool is(kj::Maybe<Obstacle> obstacle, Obstacle expected) {
  return obstacle.map([&](Obstacle o) { return o == expected; }).orDefault(false);
}

TEST_CASE("paired peers stand beside the configured ones and are there after a restart") {
  MemoryTrustStore store;
  {
    TrustKeeper keeper(kj::arr(peer("a", "a")), 64, store);
    keeper.add("b", identity("b"));
    CHECK(names(keeper) == "a b*");
  }
  TrustKeeper keeper(kj::arr(peer("a", "a")), 64, store);
  CHECK(names(keeper) == "a b*");
  CHECK(keeper.remove("b") == Removed::REMOVED);
  CHECK(names(keeper) == "a");
  CHECK(names(TrustKeeper(nullptr, 64, store)) == "");
}

TEST_CASE("the configuration's entry counts when it has the name or the device of a paired one") {
  MemoryTrustStore store;
  TrustKeeper keeper(nullptr, 64, store);
  keeper.add("b", identity("b"));
  keeper.configure(kj::arr(peer("b", "other")));
  CHECK(names(keeper) == "b");
  keeper.configure(kj::arr(peer("x", "b")));
  CHECK(names(keeper) == "x");
  keeper.configure(nullptr);
  CHECK(names(keeper) == "b*");
}

TEST_CASE("what stands in the way of a pairing is named") {
  MemoryTrustStore store;
  TrustKeeper keeper(kj::arr(peer("a", "a")), 3, store);
  keeper.add("b", identity("b"));
  CHECK(is(keeper.obstacle("a", nullptr), Obstacle::NAME_TAKEN));
  CHECK(is(keeper.obstacle("x", identity("a").deviceId.asPtr()), Obstacle::DEVICE_KNOWN));
  CHECK(is(keeper.obstacle("x", identity("b").deviceId.asPtr()), Obstacle::DEVICE_KNOWN));
  CHECK(keeper.obstacle("b", identity("b2").deviceId.asPtr()) == nullptr);  // the same peer with another key
  CHECK(keeper.obstacle("c", identity("c").deviceId.asPtr()) == nullptr);
  keeper.add("c", identity("c"), SocketAddress{IpAddress::v4(10, 0, 0, 3), 34568});
  CHECK(is(keeper.obstacle("d", nullptr), Obstacle::FULL));
  CHECK(keeper.obstacle("c", nullptr) == nullptr);
  CHECK(is(TrustKeeper(nullptr, 3, nullptr).obstacle("d", nullptr), Obstacle::NO_STORE));
  CHECK_THROWS(keeper.add("a", identity("d")));
}

TEST_CASE("a peer that is paired again has its new key alone") {
  MemoryTrustStore store;
  TrustKeeper keeper(nullptr, 64, store);
  keeper.add("b", identity("b"));
  keeper.add("b", identity("b2"));
  auto table = keeper.merged();
  REQUIRE(table.size() == 1);
  CHECK(table[0].accepts(identity("b2")));
  CHECK_FALSE(table[0].accepts(identity("b")));
}

TEST_CASE("what cannot be stored does not happen") {
  MemoryTrustStore store;
  TrustKeeper keeper(kj::arr(peer("a", "a")), 64, store);
  keeper.add("b", identity("b"));
  store.full = true;
  CHECK_THROWS(keeper.add("c", identity("c")));
  CHECK_THROWS(keeper.remove("b"));
  CHECK(names(keeper) == "a b*");
}

TEST_CASE("a peer is removed by name or device id; a configured one is not") {
  MemoryTrustStore store;
  TrustKeeper keeper(kj::arr(peer("a", "a")), 64, store);
  keeper.add("b", identity("b"));
  CHECK(keeper.remove(identity("b").deviceId) == Removed::REMOVED);
  CHECK(keeper.remove("a") == Removed::CONFIGURED);
  CHECK(keeper.remove(identity("a").deviceId) == Removed::CONFIGURED);
  CHECK(keeper.remove("b") == Removed::UNKNOWN);
}

TEST_CASE(
    "removing a peer whose entry the configuration hides says that it is still trusted, and it never comes back") {
  MemoryTrustStore store;
  TrustKeeper keeper(nullptr, 64, store);
  keeper.add("b", identity("b"));
  keeper.configure(kj::arr(peer("b", "other")));
  CHECK(keeper.remove("b") == Removed::CONFIGURED);
  CHECK(names(keeper) == "b");
  keeper.configure(nullptr);
  CHECK(names(keeper) == "");
  CHECK(names(TrustKeeper(nullptr, 64, store)) == "");
}

TEST_CASE("the merged table is bounded, for a new configuration too") {
  MemoryTrustStore store;
  TrustKeeper keeper(kj::arr(peer("a", "a")), 2, store);
  keeper.add("b", identity("b"));
  CHECK_THROWS(keeper.configure(kj::arr(peer("a", "a"), peer("c", "c"))));
  CHECK(names(keeper) == "a b*");
  CHECK_THROWS(TrustKeeper(kj::arr(peer("a", "a"), peer("c", "c")), 2, store));
}

}  // namespace
}  // namespace nexus
