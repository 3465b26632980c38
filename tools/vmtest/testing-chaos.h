#pragma once
// For tests: a run of os2vm whose markers have all come up to the phases that are more than markers, on a clock that
// the test moves, and a phase chaos that is played step by step.
#include <kj/debug.h>

#include "libs/nexus-net-os/daemon/status-channel.h"
#include "tools/vmtest/run-state.h"

namespace nexus::vmtest {

struct ChaosScene {
  explicit ChaosScene(ChaosMode mode = ChaosMode::KILLS, SoakSettings soak = {0 * kj::SECONDS, 1})
      : state(os2vmProfile(), Phase::END, limits(mode, soak), now) {
    for (auto& rung : os2vmProfile().rungs) {
      if (rung.phase > Phase::DENY) break;
      if (rung.need != Need::FORBIDDEN) reach(rung);
    }
  }

  static RunState::Limits limits(ChaosMode mode, SoakSettings soak) {
    auto limits = RunState::Limits::markersOnly();
    limits.late.chaos = mode;
    limits.late.soak = soak;
    return limits;
  }

  void reach(const Rung& rung) {
    now += 10 * kj::MILLISECONDS;
    if (rung.source == Source::KERNEL_REPORT) {
      status(rung.node, "kernel 6.1.0");
      return;
    }
    state.consoleLine(rung.node, rung.text(), ++lines, now);
    KJ_IF_MAYBE (step, stepName(rung.marker->text)) status(rung.node, kj::str("step ", *step, " ok"));
  }

  void status(kj::byte node, kj::StringPtr line) { state.statusLine(node, line, now); }
  void both(kj::StringPtr line) {
    for (kj::byte node : {0, 1}) status(node, line);
  }
  void pass(kj::Duration time) {
    now += time;
    state.advance(now);
  }
  const ChaosRun& chaos() const { return state.latePhases().chaos(); }

  // From the pause before event `n` until the service is dead.
  void kill(size_t n) {
    pass(ChaosRun::PAUSE);
    both(kj::str("chaos ", n, " armed"));
    pass(1 * kj::MILLISECONDS);
    auto& event = chaos().plan()[n];
    status(event.node, kj::str("service ", event.service, " exit signal 9"));
  }
  // And to its recovery.
  void recover(size_t n, uint32_t callMs, uint32_t streamMs) {
    kill(n);
    auto& event = chaos().plan()[n];
    now += 20 * kj::MILLISECONDS;
    status(event.node, kj::str("service ", event.service, " start"));
    both(kj::str("chaos ", n, " call ", callMs));
    both(kj::str("chaos ", n, " stream ", streamMs));
    pass(1 * kj::MILLISECONDS);
  }

  kj::TimePoint now = kj::origin<kj::TimePoint>() + 7 * kj::SECONDS;
  kj::uint lines = 0;
  RunState state;
};

}  // namespace nexus::vmtest
