#pragma once
// The phases of a run that are more than markers: perf, soak and chaos. Begins each when the ladder gets there, feeds
// it with what the guests say, and tells the run state whether it is over or has failed. Pure. Owned by the run state.
#include "tools/vmtest/chaos-run.h"
#include "tools/vmtest/perf-gate.h"
#include "tools/vmtest/soak-gate.h"

namespace nexus::vmtest {

struct LateSettings {
  PerfSettings perf;
  SoakSettings soak;
  ChaosMode chaos = ChaosMode::LONG;
  kj::Duration recoveryLimit = ChaosRun::RECOVERY_LIMIT;

  LateSettings clone() const;
  // Neither budgets nor traffic: the markers alone.
  static LateSettings off() { return {{false, nullptr}, {0 * kj::SECONDS, 1}, ChaosMode::OFF}; }
};

class LatePhases {
 public:
  LatePhases(LateSettings settings, kj::uint factor);

  // False for a phase that the settings leave out: nothing of it is waited for.
  bool wanted(Phase phase) const;
  // Whether the guests have to keep traffic up, in a run that ends with `until`.
  bool needsTraffic(Phase until) const;

  void phaseOver(Phase phase, kj::Duration took) { perfGate.phaseOver(phase, took); }
  void begin(Phase phase, kj::Duration sinceLaunch, kj::TimePoint now);
  void note(const HeldTime& held) {
    soakGate.note(held);
    chaosRun.note(held);
  }
  // What is wrong with the phase under way.
  kj::Maybe<GateFailure> advance(kj::TimePoint now);
  bool done(Phase phase) const;

  kj::Vector<GuestCommand> takeCommands();
  bool linkCut() const { return chaosRun.linkCut(); }

  void traffic(kj::byte node, const StatusTraffic& traffic, kj::TimePoint now);
  void line(kj::byte node, kj::StringPtr line) { soakGate.line(node, line); }
  void step(kj::byte node, const StatusStep& step) { soakGate.step(node, step); }
  void chaosMessage(kj::byte node, const StatusChaos& message) { chaosRun.chaos(node, message); }
  bool serviceEnded(kj::byte node, kj::StringPtr service, kj::StringPtr status, kj::TimePoint now) {
    return chaosRun.serviceEnded(node, service, status, now);
  }
  void serviceStarted(kj::byte node, kj::StringPtr service, kj::TimePoint now) {
    chaosRun.serviceStarted(node, service, now);
  }

  const PerfGate& perf() const { return perfGate; }
  const SoakGate& soak() const { return soakGate; }
  const ChaosRun& chaos() const { return chaosRun; }

 private:
  void endTraffic();

  PerfGate perfGate;
  SoakGate soakGate;
  ChaosRun chaosRun;
  kj::Maybe<GateFailure> perfFailure;
  bool traffics = false;  // the guests keep traffic up
  kj::Vector<GuestCommand> commands;
};

}  // namespace nexus::vmtest
