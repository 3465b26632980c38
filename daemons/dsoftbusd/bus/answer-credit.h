#pragma once
// Whether an announcement of a known peer is worth an answer of its own, beside this node's schedule. It is when the
// session with it has ended, or the peer says nothing there any more: then it may have been started anew and not know
// where this node is, and would wait for up to 15 s. A few answers for each session, spaced, so that two nodes that
// answer each other soon fall silent. Pure; owned by the link to that peer.
#include <kj/time.h>

namespace nexus {

class AnswerCredit {
 public:
  static constexpr kj::uint PER_SESSION = 4;
  static constexpr kj::Duration SPACING = 500 * kj::MILLISECONDS;  // one round of announcements comes over several ways

  void sessionLive() { left = 0; }
  void sessionEnded() { left = PER_SESSION; }
  void peerSilent() { left = PER_SESSION; }

  // True when it should be answered; counts as done.
  bool take(kj::TimePoint now) {
    if (left == 0 || now < notBefore) return false;
    left--;
    notBefore = now + SPACING;
    return true;
  }

 private:
  kj::uint left = 0;
  kj::TimePoint notBefore = kj::origin<kj::TimePoint>();
};

}  // namespace nexus
