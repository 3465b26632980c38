#pragma once
// The clock of one machine of a fleet: a timer of its own that follows the fleet's time, but may run fast or slow, jump
// ahead, and stand still while the machine is suspended. Never goes back, as CLOCK_MONOTONIC does not. Owned by the
// machine; the fleet moves it and asks when it next has something to do.
#include <kj/debug.h>
#include <kj/timer.h>

namespace nexus {

class NodeClock {
 public:
  explicit NodeClock(kj::TimePoint fleetNow) : anchorFleet(fleetNow), lastFleet(fleetNow) {}

  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};

  // The fleet's time is `now`: what is due here happens.
  void follow(kj::TimePoint now) {
    lastFleet = now;
    if (!suspended) timer.advanceTo(kj::max(timer.now(), toNode(now)));
  }

  // When this clock next has something to do, in the fleet's time; null while it has not.
  kj::Maybe<kj::TimePoint> nextEvent() {
    if (suspended) return nullptr;
    KJ_IF_MAYBE (at, timer.nextEvent()) return toFleet(*at);
    return nullptr;
  }

  // From now on: so many millionths faster (or slower).
  void drift(int64_t ppm) {
    anchor(timer.now());
    rate = ppm;
  }

  void jump(kj::Duration ahead) {
    anchor(timer.now() + ahead);
    follow(lastFleet);
  }

  void suspend() { suspended = true; }

  // jumps: the clock has counted the time, and all of it is over at once. Else it goes on where it stood.
  void resume(bool jumps) {
    if (!suspended) return;
    suspended = false;
    if (!jumps) anchor(timer.now());
    follow(lastFleet);
  }

  bool isSuspended() const { return suspended; }

 private:
  kj::TimePoint anchorFleet, lastFleet;
  kj::TimePoint anchorNode = kj::origin<kj::TimePoint>();
  int64_t rate = 0;  // millionths
  bool suspended = false;

  void anchor(kj::TimePoint nodeNow) {
    anchorFleet = lastFleet;
    anchorNode = nodeNow;
  }

  kj::TimePoint toNode(kj::TimePoint fleet) const {
    int64_t ns = (fleet - anchorFleet) / kj::NANOSECONDS;
    return anchorNode + (ns + ns * rate / 1'000'000) * kj::NANOSECONDS;
  }

  // The first fleet time at which toNode() is not before `node`.
  kj::TimePoint toFleet(kj::TimePoint node) const {
    int64_t ns = (node - anchorNode) / kj::NANOSECONDS;
    auto at = anchorFleet + ns * 1'000'000 / (1'000'000 + rate) * kj::NANOSECONDS;
    while (toNode(at) < node) at += 1 * kj::NANOSECONDS;
    return kj::max(at, lastFleet);
  }
};

}  // namespace nexus
