// A crash at every step: a small fixed life of three machines, with calls and streams both ways, in which one machine
// dies at one step and is started again a second later; once for every step, every machine and each kind of death: of
// the process, of the machine, of its network stack.
#include <doctest/doctest.h>

#include <string>

#include "tests/sim/fleet-log.h"
#include "tests/sim/fleet.h"

namespace nexus {
namespace {

constexpr kj::uint MACHINES = 3;
constexpr size_t BYTES = 20'000;

class SmallLife {
 public:
  SmallLife()
      : fleet({.seed = 9, .honest = MACHINES, .app = {.restless = false}, .everyRight = true}), log(fleet.trace) {
    fleet.wire.weather.spread = 3 * kj::MILLISECONDS;
    for (auto& node : fleet.nodes) node->start();
    for (auto a : kj::zeroTo(MACHINES)) {
      auto b = (a + 1) % MACHINES;
      work.add(orders(a, b).eagerlyEvaluate([this](kj::Exception&&) { done++; }));
    }
  }

  // Until the crash, or until the work is done; false when it was done before.
  bool runToStep(uint64_t step) {
    auto end = fleet.now() + 20 * kj::SECONDS;
    while (fleet.steps() < step) {
      if (done == MACHINES || !fleet.step(end)) return false;
    }
    return true;
  }

  // The stack is dead for a second; the daemon and its programs live.
  void loseStack(kj::uint machine) {
    fleet.nodes[machine]->stopStack();
    fleet.advance(1 * kj::SECONDS);
    fleet.nodes[machine]->startStack();
  }

  // The machine is dead for a second, and what its programs were at with it.
  void crash(kj::uint machine, FleetNode::Crash kind) {
    work[machine] = kj::READY_NOW;
    fleet.nodes[machine]->crash(kind);
    fleet.advance(1 * kj::SECONDS);
    fleet.nodes[machine]->start();
  }

  kj::String wrongAfterwards() {
    if (!fleet.advanceUntil([&] { return fleet.allMet() || fleet.broken(); }, Fleet::MEET_WITHIN)) {
      fleet.trace.violation(kj::str("not met: ", fleet.whyNotMet().orDefault(nullptr)));
    }
    return kj::strArray(fleet.trace.violations(), "; ");
  }

  uint64_t steps() const { return fleet.steps(); }

 private:
  Fleet fleet;
  FleetLog log;
  kj::uint done = 0;
  kj::Vector<kj::Promise<void>> work;

  kj::Promise<void> orders(kj::uint a, kj::uint b) {
    co_await fleet.nodes[a]->app().call(b, FleetRight::RESOLVE);
    for (auto name : kj::zeroTo(FLEET_STREAM_NAMES)) co_await fleet.nodes[a]->app().stream(b, name, BYTES);
    done++;
  }
};

uint64_t stepsOfWholeLife() {
  SmallLife life;
  while (life.runToStep(life.steps() + 1)) {
  }
  auto steps = life.steps();
  REQUIRE(life.wrongAfterwards() == "");
  return steps;
}

// Every step of the life, every machine. What went wrong is told with where.
void sweep(kj::StringPtr what, kj::FunctionParam<void(SmallLife& life, kj::uint machine)> strike) {
  auto steps = stepsOfWholeLife();
  CHECK(steps > 100);
  MESSAGE("steps: ", steps);
  for (auto machine : kj::zeroTo(MACHINES)) {
    for (uint64_t step = 0; step < steps; step++) {
      SmallLife life;
      life.runToStep(step);
      strike(life, machine);
      auto wrong = life.wrongAfterwards();
      if (wrong == "") continue;
      auto where = kj::str("machine ", machine, " ", what, " at step ", step, ": ", wrong);
      FAIL_CHECK(std::string(where.cStr()));  // a char* would be told as an address
    }
  }
}

TEST_CASE(
    "whichever process of three dies at whichever step, nothing is lost, repeated or allowed, and all meet again") {
  sweep("is killed", [](SmallLife& life, kj::uint machine) { life.crash(machine, FleetNode::Crash::PROCESS); });
}

TEST_CASE(
    "whichever machine of three dies at whichever step, nothing is lost, repeated or allowed, and all meet again") {
  sweep("loses power", [](SmallLife& life, kj::uint machine) { life.crash(machine, FleetNode::Crash::MACHINE); });
}

TEST_CASE("whichever stack of three dies at whichever step, nothing is lost, repeated or allowed, and all meet again") {
  sweep("loses its stack", [](SmallLife& life, kj::uint machine) { life.loseStack(machine); });
}

}  // namespace
}  // namespace nexus
