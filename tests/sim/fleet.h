#pragma once
// Machines of a bus on one wire, on virtual time: steps from event to event and checks the invariants after each. A
// step is one instant: everything that happens at it. The same seed and the same orders are the same run. Owned by a
// scenario, which gives the orders.
#include "libs/nexus-net-os/testing/sim-clock.h"
#include "tests/sim/fleet-invariants.h"
#include "tests/sim/fleet-node.h"

namespace nexus {

struct FleetOptions {
  uint64_t seed = 1;
  kj::uint honest = 5;     // machines, which all trust each other
  kj::uint strangers = 0;  // further places on the wire, for hostile programs; the key of the first is trusted
  FleetAppOptions app{};
  bool everyRight = false;  // every machine may do everything; else each right has even chances
  kj::uint callRate = 0;    // of each machine's callers, calls a second and at once; 0: as it comes
  kj::Maybe<FleetTrace::Print> print{};
};

class Fleet {
 public:
  // Longest time from the end of all faults until every two honest machines have their one session. Whatever a link is
  // at then is over after 15 s: a dial that leads nowhere (10 s, and 5 s for the handshake), or a session whose peer is
  // gone or whose bytes were tampered with (9 s of silence, 1 s for the close record); and who knew no address has
  // heard an announcement (every 15 s). Then the back-off, 8 s at most, and a dial. If that goes to an address that
  // somebody forged, where nobody listens, the true one is next, after another 8 s; and once a probe of 2 s between two
  // connections. All of that may begin only when a daemon has opened its new stack, which it looks for every 3 s. The
  // clocks of the machines run up to 5 % slow.
  static constexpr kj::Duration MEET_WITHIN = (3 + 15 + 8 + 8 + 2) * 1050 * kj::MILLISECONDS;

  // The same where nothing else has gone wrong, after a stack died and a fresh one came at once: 100 ms until it is
  // opened, the dials of both ends, a probe of 2 s at the end that still has the old session.
  static constexpr kj::Duration STACK_BACK_WITHIN = 2500 * kj::MILLISECONDS;

  explicit Fleet(FleetOptions options);
  ~Fleet() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Fleet);

  // The next instant, not after `end`; false when there is none before it (it is `end` then).
  bool step(kj::TimePoint end);
  void advance(kj::Duration duration);

  // Until it holds; false when it does not within the time.
  bool advanceUntil(kj::FunctionParam<bool()> holds, kj::Duration within);

  // Every two honest machines have one session, and one connection in which no bit was ever changed.
  bool allMet() { return whyNotMet() == nullptr; }
  kj::Maybe<kj::String> whyNotMet();

  bool broken() const { return trace.violations().size() > 0; }
  uint64_t steps() const { return stepCount; }
  kj::TimePoint now() { return sim.timer.now(); }

  // The configuration of a machine changes while it runs: it takes or gives so many rights. Streams under way of a
  // right that it takes must end with a reset, calls that are not with a backend must be denied.
  void changePolicy(kj::uint machine, kj::uint rightsToChange);

  // It is asked to read a configuration that also has other rights, and that it must refuse whole; or to try one.
  void misconfigure(kj::uint machine);
  void tryCandidate(kj::uint machine);

  static kj::String strangerName(kj::uint i) { return kj::str("x", i); }
  kj::uint strangerMachine(kj::uint i) const { return options.honest + i; }

 private:
  FleetOptions options;
  SimClock sim;

 public:
  kj::Timer& timer;  // the fleet's
  FleetTrace trace;
  FixedEntropy random;  // for orders
  FleetRights rights;
  CallLedger calls;
  StreamLedger streams;
  FleetBooks books;
  FleetWire wire;
  SimNetwork network;
  kj::Vector<kj::Own<FleetNode>> nodes;

 private:
  uint64_t stepCount = 0;

  using Allows = kj::FunctionParam<bool(kj::uint caller, FleetRight right)>;
  void chooseRights();
  kj::uint lastNamed() const { return options.strangers > 0 ? options.honest : options.honest - 1; }  // in rules
  kj::String tomlOf(kj::uint machine, kj::StringPtr furtherLine, Allows allows) const;
  kj::String tomlOf(kj::uint machine) const;
  kj::String otherToml(kj::uint machine, kj::StringPtr furtherLine);
  kj::TimePoint nextEvent(kj::TimePoint end);
  void checkTouched();
};

}  // namespace nexus
