#include "selftest/traffic-tally.h"

#include <kj/debug.h>

namespace nexus {

TrafficTally::TrafficTally(size_t targets, kj::Function<void(const StatusChaos&)> onChaos)
    : targets(targets), onChaos(kj::mv(onChaos)) {
  KJ_REQUIRE(targets > 0 && targets <= MAX_TARGETS, "so many kinds of calls are not counted", targets);
}

void TrafficTally::callDone(size_t target, bool ok, kj::TimePoint began, kj::TimePoint now) {
  (ok ? sums.calls : sums.failed)++;
  KJ_IF_MAYBE (e, event) {
    KJ_IF_MAYBE (went, e->went) {
      if (!ok || began < *went || e->callsTold) return;
      e->recovered[target] = true;
      for (size_t i = 0; i < targets; i++) {
        if (!e->recovered[i]) return;
      }
      e->callsTold = true;
      tell(*e, StatusChaos::What::CALL, now);
    }
  }
}

void TrafficTally::roundDone(size_t bytes, kj::TimePoint began, kj::TimePoint now) {
  sums.streamed += bytes;
  KJ_IF_MAYBE (e, event) {
    KJ_IF_MAYBE (went, e->went) {
      if (began < *went || e->streamTold) return;
      e->streamTold = true;
      tell(*e, StatusChaos::What::STREAM, now);
    }
  }
}

void TrafficTally::arm(uint32_t number, kj::TimePoint now) {
  auto& fresh = event.emplace(Event{number, now, nullptr, {}, false, false});
  armedCount++;
  tell(fresh, StatusChaos::What::ARMED, now);
}

void TrafficTally::go(uint32_t number, kj::TimePoint now) {
  KJ_IF_MAYBE (e, event) {
    if (e->number == number && e->went == nullptr) e->went = now;
  }
}

StatusTraffic TrafficTally::soak() const {
  return {sums.calls - soakStart.calls, sums.failed - soakStart.failed, sums.streamed - soakStart.streamed,
          sums.breaks - soakStart.breaks};
}

kj::Maybe<uint32_t> TrafficTally::pending() const {
  KJ_IF_MAYBE (e, event) {
    if (!e->callsTold || !e->streamTold) return e->number;
  }
  return nullptr;
}

void TrafficTally::tell(const Event& event, StatusChaos::What what, kj::TimePoint now) {
  auto ms = (now - event.armed) / kj::MILLISECONDS;
  onChaos(StatusChaos{event.number, what, what == StatusChaos::What::ARMED ? 0 : uint32_t(ms)});
}

}  // namespace nexus
