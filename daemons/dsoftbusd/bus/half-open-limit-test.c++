#include "daemons/dsoftbusd/bus/half-open-limit.h"

#include <doctest/doctest.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

using Place = kj::Own<HalfOpenLimit::Place>;

kj::TimePoint at(int64_t ms) {
  return kj::origin<kj::TimePoint>() + ms * kj::MILLISECONDS;
}
const auto A = IpAddress::v4(10, 0, 0, 1), B = IpAddress::v4(10, 0, 0, 2), C = IpAddress::v4(10, 0, 0, 3);
IpAddress source(kj::uint n) {
  return IpAddress::v4(10, 1, kj::byte(n >> 8), kj::byte(n));
}

// Three places and whoever holds them.
struct Fixture {
  SimClock sim;
  HalfOpenLimit limit{{.total = 3, .perSource = 2}};

  Place enter(const IpAddress& from, Standing standing = Standing::UNKNOWN) {
    auto place = limit.tryEnter(from, at(0), standing);
    REQUIRE(place != nullptr);
    return kj::mv(KJ_ASSERT_NONNULL(place));
  }
};

TEST_CASE("one source gets as many places as its bound, and one back when it leaves one") {
  HalfOpenLimit limit({.total = 10, .perSource = 2});
  auto first = limit.tryEnter(A, at(0)), second = limit.tryEnter(A, at(0));
  CHECK(first != nullptr);
  CHECK(second != nullptr);
  CHECK(limit.tryEnter(A, at(0)) == nullptr);
  CHECK(limit.counters().refusedSource == 1);
  CHECK(limit.mostOfOneSource() == 2);
  CHECK(limit.tryEnter(B, at(0)) != nullptr);
  first = nullptr;
  CHECK(limit.tryEnter(A, at(0)) != nullptr);
}

TEST_CASE("all sources together hold no more than the total: one more takes the oldest place that is silent") {
  Fixture f;
  auto first = f.enter(A), second = f.enter(A), third = f.enter(B);
  first->spoke();
  auto firstTaken = first->whenTaken(), secondTaken = second->whenTaken(), thirdTaken = third->whenTaken();
  auto fourth = f.enter(C);
  CHECK(f.limit.count() == 3);
  CHECK(f.limit.counters().taken == 1);
  CHECK_FALSE(firstTaken.poll(f.sim.waitScope));
  CHECK(secondTaken.poll(f.sim.waitScope));
  CHECK_FALSE(thirdTaken.poll(f.sim.waitScope));
  second = nullptr;  // it was gone already
  CHECK(f.limit.count() == 3);
  // Of those that have all spoken, the oldest.
  third->spoke();
  fourth->spoke();
  auto fifth = f.enter(source(1));
  CHECK(firstTaken.poll(f.sim.waitScope));
  CHECK_FALSE(thirdTaken.poll(f.sim.waitScope));
  CHECK(f.limit.count() == 3);
}

TEST_CASE("a place goes to a source of the same standing or a better one, and from the least first") {
  Fixture f;
  auto proven = f.enter(A, Standing::PROVEN), heard = f.enter(B, Standing::HEARD), unknown = f.enter(C);
  unknown->spoke();
  auto provenTaken = proven->whenTaken(), heardTaken = heard->whenTaken(), unknownTaken = unknown->whenTaken();
  auto another = f.enter(source(1), Standing::PROVEN);
  CHECK(unknownTaken.poll(f.sim.waitScope));
  CHECK_FALSE(heardTaken.poll(f.sim.waitScope));
  CHECK(f.limit.tryEnter(source(2), at(0)) == nullptr);
  CHECK(f.limit.counters().refusedTotal == 1);
  auto replacing = f.enter(source(3), Standing::HEARD);
  CHECK(heardTaken.poll(f.sim.waitScope));
  CHECK_FALSE(provenTaken.poll(f.sim.waitScope));
  replacing = nullptr;
  auto last = f.enter(source(4), Standing::PROVEN);
  CHECK(f.limit.tryEnter(source(5), at(0), Standing::HEARD) == nullptr);
  CHECK_FALSE(provenTaken.poll(f.sim.waitScope));
  auto newest = f.enter(source(6), Standing::PROVEN);
  CHECK(provenTaken.poll(f.sim.waitScope));
}

TEST_CASE("who is refused by a bound of its own takes nobody's place") {
  HalfOpenLimit limit({.total = 2, .perSource = 2, .perSecond = 1, .burst = 2});
  auto first = limit.tryEnter(A, at(0)), second = limit.tryEnter(A, at(0));
  CHECK(limit.tryEnter(A, at(0)) == nullptr);
  for (int i = 0; i < 2; i++) CHECK(limit.tryEnter(B, at(0)) != nullptr);  // one after the other: gone at once
  auto before = limit.counters().taken;
  CHECK(limit.tryEnter(B, at(0)) == nullptr);
  CHECK(limit.counters().refusedRate == 1);
  CHECK(limit.counters().taken == before);
}

TEST_CASE("a source that begins handshake after handshake is limited in time") {
  HalfOpenLimit limit({.perSecond = 10, .burst = 20});
  int passed = 0;
  for (int i = 0; i < 50; i++) passed += limit.tryEnter(A, at(0)) == nullptr ? 0 : 1;
  CHECK(passed == 20);
  CHECK(limit.counters().refusedRate == 30);
  CHECK(limit.tryEnter(A, at(100)) != nullptr);
  CHECK(limit.tryEnter(B, at(0)) != nullptr);
}

TEST_CASE("sources without number use up the rates of strangers, and not those of addresses that are known") {
  HalfOpenLimit limit;
  for (kj::uint i = 0; i < 300; i++) limit.tryEnter(source(i), at(0));
  CHECK(limit.counters().refusedRate == 300 - 256);
  CHECK(limit.tryEnter(source(1000), at(0)) == nullptr);
  CHECK(limit.tryEnter(source(1000), at(0), Standing::HEARD) != nullptr);
}

}  // namespace
}  // namespace nexus
