#pragma once
// Phase chaos as a state machine: one event after the other is brought about under traffic, and nothing else happens
// until both nodes have told that their calls and their streams are whole again. Pure: fed with messages and the time,
// it says what to order the guests and whether the link is cut. Owned by the late phases.
//
//   arm (both nodes: zero is now) -> kill or heal -> death reported -> go (both) -> service back, 2 x calls, 2 x stream
//
// A cut comes before arm: its recovery is from the healing on. The times are the guests', each on its own clock.
#include <kj/time.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/daemon/status-channel.h"
#include "tools/vmtest/chaos-plan.h"
#include "tools/vmtest/gate-failure.h"
#include "tools/vmtest/held-time.h"

namespace nexus::vmtest {

class ChaosRun {
 public:
  static constexpr int EXIT_NOT_BACK = 101, EXIT_NOT_KILLED = 102, EXIT_CALLS = 103, EXIT_STREAMS = 104,
                       EXIT_OVER_BUDGET = 105, EXIT_CUT_LEAKED = 108;
  // All with hardware virtualisation: for an answer of the selftest or the death of a service, and for a recovery.
  static constexpr kj::Duration ANSWER_LIMIT = 3 * kj::SECONDS;
  static constexpr kj::Duration RECOVERY_LIMIT = 12 * kj::SECONDS;
  // Between two events, so that there is traffic to be broken.
  static constexpr kj::Duration PAUSE = 100 * kj::MILLISECONDS;
  // After the link is cut, for what was told before. Not scaled, as the cut is not.
  static constexpr kj::Duration CUT_SETTLES = 800 * kj::MILLISECONDS;

  // What is known of an event, for reports.
  struct Recovery {
    bool begun = false, over = false;
    kj::Maybe<kj::Duration> back;          // from the death of the service to its start, on the host's clock
    kj::Maybe<uint32_t> callMs, streamMs;  // the slower node's; null while one of them has not told
    kj::Duration held = 0 * kj::SECONDS;   // of that, at most: what the host kept the guests waiting
  };

  // limit: of a recovery, with hardware virtualisation.
  ChaosRun(kj::Array<ChaosEvent> plan, kj::uint factor, kj::Duration limit = RECOVERY_LIMIT);

  void note(const HeldTime& now) { held = now; }
  void begin(kj::TimePoint now);
  kj::Maybe<GateFailure> advance(kj::TimePoint now);
  bool done() const { return stage == Stage::DONE; }
  bool active() const { return stage != Stage::IDLE && stage != Stage::DONE; }
  kj::Vector<GuestCommand> takeCommands() { return kj::mv(commands); }
  bool linkCut() const { return cut; }

  void traffic(kj::byte node, const StatusTraffic& traffic, kj::TimePoint now);
  void chaos(kj::byte node, const StatusChaos& message);
  // True when this service was meant to end now.
  bool serviceEnded(kj::byte node, kj::StringPtr service, kj::StringPtr status, kj::TimePoint now);
  void serviceStarted(kj::byte node, kj::StringPtr service, kj::TimePoint now);

  kj::ArrayPtr<const ChaosEvent> plan() const { return events; }
  const Recovery& recovery(size_t event) const { return recoveries[event]; }
  kj::Duration budget(size_t event) const { return events[event].budget * int64_t(factor); }
  size_t overCount() const;
  // The budget, and what the host added to it: all of it, since the wait for a recovery has a limit of its own.
  kj::Duration allowed(size_t event) const { return budget(event) + recoveries[event].held; }
  // Recovered within what is allowed, and not within the budget alone.
  bool isLate(size_t event) const;
  // "kill netstackd on A: waits for the stream of B"; empty when nothing is under way.
  kj::String status() const;

 private:
  enum class Stage : kj::byte { IDLE, PAUSING, CUT, ARMING, KILLING, RECOVERING, DONE };
  struct Node {
    bool armed = false;
    kj::Maybe<uint32_t> callMs, streamMs;
    kj::Maybe<uint64_t> callsInCut;  // of the first message that belongs to the cut
    bool leaked = false;
  };

  void enter(Stage next, kj::TimePoint now);
  void orderBoth(TrafficOrder::Kind kind);
  void beginEvent(kj::TimePoint now);
  void happen(kj::TimePoint now);
  void go(kj::TimePoint now);
  void finishEvent(kj::TimePoint now);
  kj::Maybe<GateFailure> judgeRecovery(kj::TimePoint now);
  kj::Maybe<GateFailure> overBudget() const;
  kj::Maybe<GateFailure> missing() const;
  bool recovered() const;
  bool isOver(kj::Duration limit, kj::TimePoint now) const {
    return now >= entered + limit + held.extra(limit, heldAtEntry);
  }

  const kj::Array<ChaosEvent> events;
  const kj::uint factor;
  const kj::Duration limit;
  kj::Array<Recovery> recoveries;
  Stage stage = Stage::IDLE;
  size_t current = 0;
  kj::TimePoint entered = kj::origin<kj::TimePoint>();
  HeldTime held;
  kj::Duration heldAtEntry = 0 * kj::SECONDS, heldAtArming = 0 * kj::SECONDS;
  kj::TimePoint diedAt = kj::origin<kj::TimePoint>();
  bool isBack = false;
  bool cut = false;
  Node nodes[2];
  kj::Vector<GuestCommand> commands;
};

}  // namespace nexus::vmtest
