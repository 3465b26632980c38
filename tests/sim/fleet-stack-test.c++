// A network stack dies in a fleet where all is well, and a fresh one comes at once: how soon the sessions are back.
#include <doctest/doctest.h>

#include "tests/sim/fleet-log.h"
#include "tests/sim/fleet.h"

namespace nexus {
namespace {

constexpr kj::uint MACHINES = 5;

TEST_CASE("after the restart of any stack of a calm fleet all sessions are back within the stated time") {
  kj::Duration longest = 0 * kj::SECONDS;
  for (uint64_t seed = 1; seed <= 10; seed++) {
    CAPTURE(seed);
    Fleet fleet({.seed = seed, .honest = MACHINES, .everyRight = true});
    FleetLog log(fleet.trace);
    fleet.wire.weather.spread = 5 * kj::MILLISECONDS;
    for (auto& node : fleet.nodes) node->start();
    REQUIRE(fleet.advanceUntil([&] { return fleet.allMet(); }, 5 * kj::SECONDS));
    for (auto& node : fleet.nodes) {
      CAPTURE(node->machine);
      fleet.advance(7 * kj::SECONDS + int64_t(fleet.random.next() % 1000) * kj::MILLISECONDS);
      REQUIRE(fleet.allMet());
      node->stopStack();
      node->startStack();
      auto died = fleet.now();
      fleet.advance(1 * kj::MICROSECONDS);
      CHECK_FALSE(fleet.allMet());
      CHECK(fleet.advanceUntil([&] { return fleet.allMet(); }, Fleet::STACK_BACK_WITHIN));
      longest = kj::max(longest, fleet.now() - died);
    }
    CHECK(fleet.trace.violations().size() == 0);
  }
  MESSAGE("the longest took ", (longest / kj::MILLISECONDS), " ms of virtual time");
}

}  // namespace
}  // namespace nexus
