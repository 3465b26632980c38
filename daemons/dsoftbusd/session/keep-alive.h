#pragma once
// Whether the peer is still there: asks after some silence, gives up after more. Owned by a session; pure: time comes
// in. Silence is measured from the arrival of what was heard, not from when somebody looked.
#include <kj/time.h>

namespace nexus {

class KeepAlive {
 public:
  // interval: of silence, or since the last ping, before the next ping. timeout: of silence; longer than interval.
  KeepAlive(kj::TimePoint now, kj::Duration interval, kj::Duration timeout)
      : interval(interval), timeout(timeout), heardAt(now), pingedAt(now) {}

  // Anything of the peer has arrived.
  void heard(kj::TimePoint now) { heardAt = now; }

  enum class Verdict { HEALTHY, SEND_PING, TIMED_OUT };

  // SEND_PING counts as done.
  Verdict check(kj::TimePoint now) {
    if (now - heardAt >= timeout) return Verdict::TIMED_OUT;
    if (now < pingDue()) return Verdict::HEALTHY;
    pingedAt = now;
    return Verdict::SEND_PING;
  }

  // Before this, and while nothing is heard, check() is HEALTHY.
  kj::TimePoint nextCheck() const { return kj::min(pingDue(), heardAt + timeout); }

  kj::Duration silence(kj::TimePoint now) const { return now - heardAt; }

 private:
  kj::Duration interval, timeout;
  kj::TimePoint heardAt, pingedAt;

  kj::TimePoint pingDue() const { return kj::max(heardAt, pingedAt) + interval; }
};

}  // namespace nexus
