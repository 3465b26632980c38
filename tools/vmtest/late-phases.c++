#include "tools/vmtest/late-phases.h"

namespace nexus::vmtest {

LateSettings LateSettings::clone() const {
  return {{perf.enabled, kj::heapArray<BudgetSetting>(perf.settings.asPtr())}, soak, chaos, recoveryLimit};
}

LatePhases::LatePhases(LateSettings settings, kj::uint factor)
    : perfGate(settings.perf, factor),
      soakGate(settings.soak, factor),
      chaosRun(chaosPlan(settings.chaos), factor, settings.recoveryLimit) {}

bool LatePhases::wanted(Phase phase) const {
  if (phase == Phase::SOAK) return soakGate.plan().enabled();
  if (phase == Phase::CHAOS) return chaosRun.plan().size() > 0;
  return true;
}

bool LatePhases::needsTraffic(Phase until) const {
  return (until >= Phase::SOAK && wanted(Phase::SOAK)) || (until >= Phase::CHAOS && wanted(Phase::CHAOS));
}

void LatePhases::begin(Phase phase, kj::Duration sinceLaunch, kj::TimePoint now) {
  if (phase == Phase::PERF) {
    perfGate.setTotal(sinceLaunch);
    perfFailure = perfGate.check();
  }
  if (phase == Phase::SOAK && wanted(phase)) {
    traffics = true;
    soakGate.begin(now);
  }
  if (phase == Phase::CHAOS && wanted(phase)) {
    traffics = true;
    chaosRun.begin(now);
  }
  if (phase == Phase::END) endTraffic();
}

// The selftests report what the chaos did to their traffic, and go on to their end.
void LatePhases::endTraffic() {
  if (!traffics) return;
  traffics = false;
  for (kj::byte node = 0; node < 2; node++) commands.add(GuestCommand{node, TrafficOrder{TrafficOrder::Kind::END}});
}

kj::Maybe<GateFailure> LatePhases::advance(kj::TimePoint now) {
  KJ_IF_MAYBE (failure, perfFailure) return GateFailure{failure->exit, failure->node, kj::str(failure->what)};
  auto soaked = soakGate.advance(now);
  if (soaked != nullptr) return soaked;
  bool wasActive = chaosRun.active();
  auto failure = chaosRun.advance(now);
  if (wasActive && chaosRun.done()) endTraffic();
  return failure;
}

bool LatePhases::done(Phase phase) const {
  if (!wanted(phase)) return true;
  if (phase == Phase::SOAK) return soakGate.done();
  if (phase == Phase::CHAOS) return chaosRun.done();
  return phase != Phase::PERF || perfFailure == nullptr;
}

kj::Vector<GuestCommand> LatePhases::takeCommands() {
  auto all = kj::mv(commands);
  for (auto& command : soakGate.takeCommands()) all.add(kj::mv(command));
  for (auto& command : chaosRun.takeCommands()) all.add(kj::mv(command));
  return all;
}

void LatePhases::traffic(kj::byte node, const StatusTraffic& traffic, kj::TimePoint now) {
  soakGate.traffic(node, traffic, now);
  chaosRun.traffic(node, traffic, now);
}

}  // namespace nexus::vmtest
