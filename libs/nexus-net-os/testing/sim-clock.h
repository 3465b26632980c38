#pragma once
// Virtual time for tests: an event loop without file descriptors and a timer that jumps from event to event. Owned by a
// test; knows nothing of what runs on it.
#include <kj/async.h>
#include <kj/debug.h>
#include <kj/time.h>
#include <kj/timer.h>

namespace nexus {

// Wall-clock time of a machine: goes with the timer, and is set by the test as people set clocks.
class SimCalendar final : public kj::Clock {
 public:
  explicit SimCalendar(kj::Timer& timer) : timer(timer) {}

  kj::Date now() const override { return atOrigin + (timer.now() - kj::origin<kj::TimePoint>()); }
  void set(kj::Date date) { atOrigin = date - (timer.now() - kj::origin<kj::TimePoint>()); }

 private:
  kj::Timer& timer;
  kj::Date atOrigin = kj::UNIX_EPOCH + 1'795'176'000ll * kj::SECONDS;  // 2026-11-20T12:00:00Z
};

class SimClock {
 public:
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  SimCalendar calendar{timer};

  // Lets everything happen that can happen without time passing.
  void settle() { waitScope.poll(); }

  // Runs until `promise` is done, jumping from timer to timer. FAILED when nobody waits for time any more (a deadlock)
  // or when `limit` of virtual time is over.
  template <typename T>
  T run(kj::Promise<T> promise, kj::Duration limit = 60 * kj::SECONDS) {
    auto deadline = timer.now() + limit;
    while (!promise.poll(waitScope)) {
      auto next = KJ_ASSERT_NONNULL(timer.nextEvent(), "deadlock: nobody waits for time");
      KJ_ASSERT(next <= deadline, "out of virtual time");
      timer.advanceTo(next);
    }
    return promise.wait(waitScope);
  }

  // Lets `duration` of virtual time pass, event by event.
  void advance(kj::Duration duration) {
    auto end = timer.now() + duration;
    for (;;) {
      settle();
      auto next = timer.nextEvent().orDefault(end);
      if (next >= end) break;
      timer.advanceTo(next);
    }
    timer.advanceTo(end);
    settle();
  }
};

}  // namespace nexus
