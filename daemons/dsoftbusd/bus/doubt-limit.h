#pragma once
// How often announcements may make a node doubt a session that lives: whoever is on the link can forge them. A question
// inside the session at most once a second; a second dial that was in vain doubles the time to the next one. Pure;
// owned by second-dial, one for each session.
#include <kj/time.h>

namespace nexus {

class DoubtLimit {
 public:
  static constexpr kj::Duration SPACING = 1 * kj::SECONDS;
  static constexpr kj::Duration LARGEST_PAUSE = 32 * kj::SECONDS;

  // Whether this announcement may be followed by a question; counts as done.
  bool take(kj::TimePoint now) {
    if (now < notBefore) return false;
    notBefore = now + SPACING;
    return true;
  }

  // The dial that followed led to nothing: the peer kept the session, or was not there.
  void inVain(kj::TimePoint now) {
    notBefore = now + pause;
    pause = kj::min(pause * 2, LARGEST_PAUSE);
  }

 private:
  kj::TimePoint notBefore = kj::origin<kj::TimePoint>();
  kj::Duration pause = SPACING;
};

}  // namespace nexus
