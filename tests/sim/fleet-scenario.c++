#include "tests/sim/fleet-scenario.h"

#include <kj/debug.h>

#include "tests/sim/fleet-log.h"
#include "tests/sim/hostile.h"

namespace nexus {

namespace {

constexpr kj::Duration PROOF_WITHIN = 20 * kj::SECONDS;
constexpr size_t PROOF_BYTES_OF_STREAM = 3000;
constexpr uint64_t BUSY_ONE_OF = 8;
constexpr kj::uint BUSY_RATE = 10'000, RUSH = 300;  // calls a second; at once

class Scenario {
 public:
  explicit Scenario(ScenarioOptions& options)
      : options(options),
        busy(options.busy.orDefault(FleetTrace::scramble(options.seed + 2) % BUSY_ONE_OF == 0)),
        fleet({.seed = options.seed,
               .honest = options.machines,
               .strangers = 6,
               .callRate = busy ? BUSY_RATE : 0,
               .print = kj::mv(options.print)}),
        log(fleet.trace) {}

  // While somebody still reads what they log.
  ~Scenario() noexcept(false) {
    hostile.clear();
    fleet.nodes.clear();
  }

  ScenarioResult run() {
    changeWeather();
    for (auto& node : fleet.nodes) {
      fleet.advance(upTo(1500 * kj::MILLISECONDS));
      node->start();
    }
    if (options.hostile) releaseHostile();
    for (auto i = 0u; i < options.troubles && !fleet.broken(); i++) {
      fleet.advance(upTo(4 * kj::SECONDS));
      trouble();
      if (busy) rush();
    }
    endTroubles();
    auto healed = fleet.now();
    bool met =
        fleet.broken() || fleet.advanceUntil([&] { return fleet.broken() || fleet.allMet(); }, Fleet::MEET_WITHIN);
    auto meeting = fleet.now() - healed;
    if (!met) {
      fleet.trace.violation(kj::str("not all machines have met ", meeting / kj::SECONDS,
                                    " s after the faults: ", fleet.whyNotMet().orDefault(nullptr)));
    }
    if (!fleet.broken()) prove();
    auto violations = KJ_MAP(v, fleet.trace.violations()) {
      return kj::str(v);
    };
    return ScenarioResult{.violations = kj::mv(violations),
                          .traceHash = fleet.trace.hash(),
                          .events = fleet.trace.events(),
                          .steps = fleet.steps(),
                          .lived = fleet.now() - kj::origin<kj::TimePoint>(),
                          .met = meeting,
                          .calls = fleet.calls.counters(),
                          .streams = fleet.streams.counters(),
                          .wire = fleet.wire.counters(),
                          .auditDropped = auditDropped()};
  }

 private:
  ScenarioOptions& options;
  const bool busy;
  Fleet fleet;
  FleetLog log;
  kj::Vector<kj::Promise<void>> hostile;

  uint64_t auditDropped() {
    uint64_t dropped = 0;
    for (auto& node : fleet.nodes) dropped += node->isUp() ? node->daemon().audit().droppedCount() : 0;
    return dropped;
  }

  uint64_t below(uint64_t n) { return fleet.random.next() % n; }
  kj::Duration upTo(kj::Duration most) { return int64_t(below(uint64_t(most / kj::NANOSECONDS))) * kj::NANOSECONDS; }
  FleetNode& any() { return *fleet.nodes[below(options.machines)]; }

  // Some of them, each on its own machine; mallory's is the first place behind the honest ones, whose name is trusted.
  void releaseHostile() {
    for (auto i : kj::zeroTo(HOSTILE_KINDS)) {
      auto kind = HostileKind(i);
      if (below(2) == 0) continue;
      kj::uint place = kind == HostileKind::MALLORY ? 0 : i + 1;
      fleet.trace.note("hostile:", hostileName(kind), "on machine", fleet.strangerMachine(place));
      HostileMeans means{.machine = fleet.strangerMachine(place),
                         .net = fleet.network.manager(Fleet::strangerName(place)),
                         .timer = fleet.timer,
                         .books = fleet.books,
                         .wire = fleet.wire,
                         .seed = fleet.random.next()};
      hostile.add(runHostile(kind, kj::mv(means)).eagerlyEvaluate([this](kj::Exception&& e) {
        fleet.trace.violation(kj::str("a hostile program ended: ", e.getDescription()));
      }));
    }
    if (below(3) == 0) fleet.wire.flipPerThousand = 1 + below(10);
  }

  void changeWeather() {
    auto& w = fleet.wire.weather;
    w = FleetWeather{};
    w.spread = upTo(20 * kj::MILLISECONDS);
    if (below(4) == 0) return;  // a fine day
    auto some = [&](kj::uint most) { return below(2) == 0 ? 0 : kj::uint(below(most)); };
    w.loss = some(500), w.duplicate = some(300), w.reorder = some(300);
    w.stall = some(60), w.oddSegments = some(100);
    w.longest = 100 * kj::MILLISECONDS + upTo(3 * kj::SECONDS);
    fleet.trace.note("weather: loss", w.loss, "duplicate", w.duplicate, "reorder", w.reorder, "stall", w.stall);
  }

  void trouble() {
    switch (below(22)) {
      case 0:
      case 1:
        return any().crash(FleetNode::Crash::PROCESS);
      case 2:
        return any().crash(FleetNode::Crash::MACHINE);
      case 3:
      case 4:
        return any().start();
      case 5:
        return any().suspend();
      case 6:
        return any().resume(below(2) == 0);
      case 7:
        return jump(any());
      case 8:
        return any().clock.drift(int64_t(below(100'000)) - 50'000);
      case 9:
        return part();
      case 10:
        return split();
      case 11:
        fleet.trace.note("the ways are healed");
        fleet.wire.healWays();
        return fleet.network.retryLate();
      case 12:
        return killConnections();
      case 13:
        return changeWeather();
      case 14:
        return any().revoke(kj::uint(below(options.machines + 1)), true);  // or mallory
      case 15:
        return trustAgain();
      case 16:
      case 17:
        return fleet.changePolicy(kj::uint(below(options.machines)), kj::uint(1 + below(4)));
      case 18:
        return fleet.misconfigure(kj::uint(below(options.machines)));
      case 19:
        return fleet.tryCandidate(kj::uint(below(options.machines)));
      case 20:
      case 21:
        return troubleStack(any());
    }
  }

  // Dies for a moment, or until it is touched again.
  void troubleStack(FleetNode& node) {
    if (!node.hasStack()) return node.startStack();
    node.stopStack();
    if (below(2) == 0) node.startStack();
  }

  // Far more calls to machine 0 than anybody makes in so short a time.
  void rush() {
    auto& node = *fleet.nodes[1 + below(options.machines - 1)];
    if (!node.isUp()) return;
    node.app().rush(0, RUSH);
  }

  void trustAgain() {
    for (auto& node : fleet.nodes) {
      for (auto peer : kj::zeroTo(options.machines + 1)) node->revoke(peer, false);
    }
  }

  void jump(FleetNode& node) {
    auto ahead = upTo(40 * kj::SECONDS);
    fleet.trace.note("the clock of machine", node.machine, "jumps by", ahead / kj::MILLISECONDS, "ms");
    node.clock.jump(ahead);
    fleet.wire.touch(node.machine);
  }

  // One way or both.
  void part() {
    auto from = kj::uint(below(options.machines)), to = kj::uint(below(options.machines));
    if (from == to) return;
    bool both = below(2) == 0;
    fleet.trace.note("nothing gets from", from, "to", to, both ? "and back" : "");
    fleet.wire.part(from, to, true);
    if (both) fleet.wire.part(to, from, true);
  }

  void split() {
    auto side = below(1 << options.machines);
    fleet.trace.note("the machines are split by", side);
    for (auto a : kj::zeroTo(options.machines)) {
      for (auto b : kj::zeroTo(options.machines)) {
        if ((side >> a & 1) != (side >> b & 1)) fleet.wire.part(a, b, true);
      }
    }
  }

  void killConnections() {
    auto& node = any();
    fleet.trace.note("the connections of machine", node.machine, "are reset");
    fleet.network.killConnections(FleetApp::machineName(node.machine));
    fleet.wire.touch(node.machine);
  }

  void endTroubles() {
    fleet.trace.note("the faults end");
    fleet.wire.weather = FleetWeather{};
    fleet.wire.flipPerThousand = 0;
    fleet.wire.healWays();
    if (below(2) == 0) hostile.clear();  // else they go on, and everybody must meet all the same
    for (auto& node : fleet.nodes) {
      node->resume(true);
      node->start();
      node->startStack();
    }
    trustAgain();
    fleet.network.retryLate();
  }

  // Fresh programs, and every call and stream that there can be.
  void prove() {
    fleet.advance(1 * kj::SECONDS);
    fleet.streams.checkWithdrawn();
    for (auto& node : fleet.nodes) node->restartPrograms({.restless = false});
    fleet.advance(3 * kj::SECONDS);
    kj::Vector<kj::Promise<void>> proofs;
    for (auto a : kj::zeroTo(options.machines)) {
      for (auto b : kj::zeroTo(options.machines)) {
        if (a == b) continue;
        proofs.add(proveCall(a, b, FleetRight::RESOLVE));
        proofs.add(proveCall(a, b, FleetRight::LIST));
        for (auto name : kj::zeroTo(FLEET_STREAM_NAMES)) {
          if (a < b) proofs.add(proveStreams(a, b, name));
        }
      }
    }
    auto all = kj::joinPromises(proofs.releaseAsArray()).eagerlyEvaluate([this](kj::Exception&& e) {
      fleet.trace.violation(kj::str("a proof failed: ", e.getDescription()));
    });
    bool done = false;
    auto watched = all.then([&] { done = true; }).eagerlyEvaluate(nullptr);
    if (!fleet.advanceUntil([&] { return done || fleet.broken(); }, PROOF_WITHIN)) {
      fleet.trace.violation(kj::str("calls or streams of a healed fleet do not end"));
    }
  }

  kj::Promise<void> proveCall(kj::uint a, kj::uint b, FleetRight right) {
    auto answer = co_await fleet.nodes[a]->app().call(b, right);
    if (answer != fleet.rights.allows(a, b, right)) {
      fleet.trace.violation(kj::str("a call of machine ", a, " to ", fleetService(right), " of machine ", b,
                                    " of a healed fleet did not end as it must"));
    }
  }

  // Both ways, one after the other: a name is in use once in a session.
  kj::Promise<void> proveStreams(kj::uint a, kj::uint b, kj::uint name) {
    co_await proveStream(a, b, name);
    co_await fleet.timer.afterDelay(1 * kj::SECONDS);
    co_await proveStream(b, a, name);
  }

  kj::Promise<void> proveStream(kj::uint a, kj::uint b, kj::uint name) {
    bool allowed = fleet.rights.allows(a, b, FleetRight(kj::uint(FleetRight::STREAM_0) + name));
    auto stream = co_await fleet.nodes[a]->app().stream(b, name, PROOF_BYTES_OF_STREAM);
    KJ_IF_MAYBE (id, stream) {
      // The acceptor may have the last word still to read.
      co_await fleet.timer.afterDelay(500 * kj::MILLISECONDS);
      if (allowed && fleet.streams.isWhole(*id)) co_return;
    } else if (!allowed) {
      co_return;
    }
    fleet.trace.violation(kj::str("a stream of machine ", a, " to machine ", b,
                                  " of a healed fleet did not end as it must: ", fleetStreamName(name)));
  }
};  // namespace nexus

}  // namespace

ScenarioResult runScenario(ScenarioOptions options) {
  Scenario scenario(options);
  return scenario.run();
}

}  // namespace nexus
