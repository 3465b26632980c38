#include "daemons/dsoftbusd/trust/trust-keeper.h"

#include <doctest/doctest.h>

#include "daemons/dsoftbusd/trust/memory-trust-store.h"
#include "libs/nexus-net-os/base/utc.h"
#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

using Obstacle = TrustKeeper::Obstacle;
using Rekeyed = TrustKeeper::Rekeyed;
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
  SimClock sim;
  MemoryTrustStore store;
  {
    TrustKeeper keeper(kj::arr(peer("a", "a")), 64, store, sim.timer, sim.calendar);
    keeper.add("b", identity("b"));
    CHECK(names(keeper) == "a b*");
  }
  TrustKeeper keeper(kj::arr(peer("a", "a")), 64, store, sim.timer, sim.calendar);
  CHECK(names(keeper) == "a b*");
  CHECK(keeper.remove("b") == Removed::REMOVED);
  CHECK(names(keeper) == "a");
  CHECK(names(TrustKeeper(nullptr, 64, store, sim.timer, sim.calendar)) == "");
}

TEST_CASE("the configuration's entry counts when it has the name or the device of a paired one") {
  SimClock sim;
  MemoryTrustStore store;
  TrustKeeper keeper(nullptr, 64, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"));
  keeper.configure(kj::arr(peer("b", "other")));
  CHECK(names(keeper) == "b");
  keeper.configure(kj::arr(peer("x", "b")));
  CHECK(names(keeper) == "x");
  keeper.configure(nullptr);
  CHECK(names(keeper) == "b*");
}

TEST_CASE("what stands in the way of a pairing is named") {
  SimClock sim;
  MemoryTrustStore store;
  TrustKeeper keeper(kj::arr(peer("a", "a")), 3, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"));
  CHECK(is(keeper.obstacle("a", nullptr), Obstacle::NAME_TAKEN));
  CHECK(is(keeper.obstacle("x", identity("a").deviceId.asPtr()), Obstacle::DEVICE_KNOWN));
  CHECK(is(keeper.obstacle("x", identity("b").deviceId.asPtr()), Obstacle::DEVICE_KNOWN));
  CHECK(keeper.obstacle("b", identity("b2").deviceId.asPtr()) == nullptr);  // the same peer with another key
  CHECK(keeper.obstacle("c", identity("c").deviceId.asPtr()) == nullptr);
  keeper.add("c", identity("c"), SocketAddress{IpAddress::v4(10, 0, 0, 3), 34568});
  CHECK(is(keeper.obstacle("d", nullptr), Obstacle::FULL));
  CHECK(keeper.obstacle("c", nullptr) == nullptr);
  CHECK(is(TrustKeeper(nullptr, 3, nullptr, sim.timer, sim.calendar).obstacle("d", nullptr), Obstacle::NO_STORE));
  CHECK_THROWS(keeper.add("a", identity("d")));
}

TEST_CASE("a peer that is paired again has its new key alone") {
  SimClock sim;
  MemoryTrustStore store;
  TrustKeeper keeper(nullptr, 64, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"));
  keeper.add("b", identity("b2"));
  auto table = keeper.merged();
  REQUIRE(table.size() == 1);
  CHECK(table[0].accepts(identity("b2")));
  CHECK_FALSE(table[0].accepts(identity("b")));
}

TEST_CASE("what cannot be stored does not happen") {
  SimClock sim;
  MemoryTrustStore store;
  TrustKeeper keeper(kj::arr(peer("a", "a")), 64, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"));
  store.full = true;
  CHECK_THROWS(keeper.add("c", identity("c")));
  CHECK_THROWS(keeper.remove("b"));
  CHECK(names(keeper) == "a b*");
}

TEST_CASE("a peer is removed by name or device id; a configured one is not") {
  SimClock sim;
  MemoryTrustStore store;
  TrustKeeper keeper(kj::arr(peer("a", "a")), 64, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"));
  CHECK(keeper.remove(identity("b").deviceId) == Removed::REMOVED);
  CHECK(keeper.remove("a") == Removed::CONFIGURED);
  CHECK(keeper.remove(identity("a").deviceId) == Removed::CONFIGURED);
  CHECK(keeper.remove("b") == Removed::UNKNOWN);
}

TEST_CASE(
    "removing a peer whose entry the configuration hides says that it is still trusted, and it never comes back") {
  SimClock sim;
  MemoryTrustStore store;
  TrustKeeper keeper(nullptr, 64, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"));
  keeper.configure(kj::arr(peer("b", "other")));
  CHECK(keeper.remove("b") == Removed::CONFIGURED);
  CHECK(names(keeper) == "b");
  keeper.configure(nullptr);
  CHECK(names(keeper) == "");
  CHECK(names(TrustKeeper(nullptr, 64, store, sim.timer, sim.calendar)) == "");
}

// Two accepted keys of one peer, or which.
kj::String accepted(const TrustKeeper& keeper) {
  auto table = keeper.merged();
  kj::Vector<kj::StringPtr> keys;
  for (auto& peer : table) {
    for (auto key : {"a"_kj, "b"_kj, "b2"_kj, "b3"_kj}) {
      if (peer.name == "b" && peer.accepts(identity(key))) keys.add(key);
    }
  }
  return kj::strArray(keys, " ");
}

const auto SOON = 1 * kj::MINUTES;

TEST_CASE("a paired peer with another key is known by both until the time that was said, and by the new one then") {
  MemoryTrustStore store;
  SimClock sim;
  TrustKeeper keeper(nullptr, 64, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"), SocketAddress{IpAddress::v4(10, 0, 0, 2), 34567});
  CHECK(keeper.rekey("b", identity("b2"), sim.calendar.now() + SOON) == Rekeyed::DONE);
  CHECK(accepted(keeper) == "b b2");
  CHECK(keeper.merged()[0].address != nullptr);
  sim.advance(SOON - 1 * kj::NANOSECONDS);
  CHECK(accepted(keeper) == "b b2");
  sim.advance(1 * kj::NANOSECONDS);
  CHECK(accepted(keeper) == "b2");
  // The old key is nobody's now.
  CHECK(keeper.obstacle("c", identity("b").deviceId.asPtr()) == nullptr);
}

TEST_CASE("a grace counts on over a restart, ends while the daemon is down, and grows by no step of the wall clock") {
  MemoryTrustStore store;
  SimClock sim;
  {
    TrustKeeper keeper(nullptr, 64, store, sim.timer, sim.calendar);
    keeper.add("b", identity("b"));
    keeper.rekey("b", identity("b2"), sim.calendar.now() + SOON);
    sim.calendar.set(sim.calendar.now() - 1 * kj::DAYS);
    sim.advance(20 * kj::SECONDS);
    sim.calendar.set(sim.calendar.now() + 1 * kj::DAYS);
  }
  {
    TrustKeeper keeper(nullptr, 64, store, sim.timer, sim.calendar);
    CHECK(accepted(keeper) == "b b2");
    sim.advance(40 * kj::SECONDS);
    CHECK(accepted(keeper) == "b2");
  }
  CHECK(accepted(TrustKeeper(nullptr, 64, store, sim.timer, sim.calendar)) == "b2");
}

TEST_CASE("a crash before the new key is stored leaves the old one alone, a crash behind it leaves both") {
  MemoryTrustStore store;
  SimClock sim;
  TrustKeeper keeper(nullptr, 64, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"));
  auto until = sim.calendar.now() + SOON;
  store.full = true;
  CHECK_THROWS(keeper.rekey("b", identity("b2"), until));
  CHECK(accepted(keeper) == "b");
  store.full = false;
  CHECK(accepted(TrustKeeper(nullptr, 64, store, sim.timer, sim.calendar)) == "b");
  keeper.rekey("b", identity("b2"), until);
  CHECK(accepted(TrustKeeper(nullptr, 64, store, sim.timer, sim.calendar)) == "b b2");
}

TEST_CASE("revocation ends a grace, here and after a restart") {
  for (auto by : {"b"_kj, "b2"_kj}) {
    MemoryTrustStore store;
    SimClock sim;
    TrustKeeper keeper(nullptr, 64, store, sim.timer, sim.calendar);
    keeper.add("b", identity("b"));
    keeper.rekey("b", identity("b2"), sim.calendar.now() + SOON);
    CHECK(keeper.remove(identity(by).deviceId) == Removed::REMOVED);
    CHECK(accepted(keeper) == "");
    CHECK(accepted(TrustKeeper(nullptr, 64, store, sim.timer, sim.calendar)) == "");
  }
}

TEST_CASE("at most two keys of a peer are accepted, whatever is changed how often") {
  MemoryTrustStore store;
  SimClock sim;
  TrustKeeper keeper(nullptr, 64, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"));
  CHECK(keeper.rekey("b", identity("b2"), sim.calendar.now() + SOON) == Rekeyed::DONE);
  CHECK(keeper.rekey(identity("b2").deviceId, identity("b3"), sim.calendar.now() + SOON) == Rekeyed::DONE);
  CHECK(accepted(keeper) == "b2 b3");
  // Back to a key that is still accepted: it is the peer's own.
  CHECK(keeper.rekey("b", identity("b2"), sim.calendar.now() + SOON) == Rekeyed::DONE);
  CHECK(accepted(keeper) == "b2 b3");
  CHECK(keeper.merged()[0].identity.deviceId == identity("b2").deviceId);
}

TEST_CASE("a key that cannot be changed so is refused, and nothing is stored") {
  MemoryTrustStore store;
  SimClock sim;
  TrustKeeper keeper(kj::arr(peer("a", "a")), 64, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"));
  auto before = kj::str(store.text);
  auto until = sim.calendar.now() + SOON;
  CHECK(keeper.rekey("x", identity("b2"), until) == Rekeyed::UNKNOWN);
  CHECK(keeper.rekey("a", identity("a2"), until) == Rekeyed::CONFIGURED);
  CHECK(keeper.rekey("b", identity("b"), until) == Rekeyed::SAME_KEY);
  CHECK(keeper.rekey("b", identity("a"), until) == Rekeyed::DEVICE_KNOWN);
  CHECK(keeper.rekey("b", identity("b2"), sim.calendar.now()) == Rekeyed::OVER);
  CHECK(store.text == before);
  keeper.configure(kj::arr(peer("b", "other")));  // hides the paired one
  CHECK(keeper.rekey("b", identity("b2"), until) == Rekeyed::CONFIGURED);
  CHECK(store.text == before);
}

TEST_CASE("the merged table is bounded, for a new configuration too") {
  SimClock sim;
  MemoryTrustStore store;
  TrustKeeper keeper(kj::arr(peer("a", "a")), 2, store, sim.timer, sim.calendar);
  keeper.add("b", identity("b"));
  CHECK_THROWS(keeper.configure(kj::arr(peer("a", "a"), peer("c", "c"))));
  CHECK(names(keeper) == "a b*");
  CHECK_THROWS(TrustKeeper(kj::arr(peer("a", "a"), peer("c", "c")), 2, store, sim.timer, sim.calendar));
}

}  // namespace
}  // namespace nexus
