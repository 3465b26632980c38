#include "daemons/dsoftbusd/session/keep-alive.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

using Verdict = KeepAlive::Verdict;

kj::TimePoint at(int64_t seconds) {
  return kj::origin<kj::TimePoint>() + seconds * kj::SECONDS;
}

KeepAlive started() {
  return KeepAlive(at(0), 3 * kj::SECONDS, 9 * kj::SECONDS);
}

TEST_CASE("keepalive_timeout_is_deterministic: healthy at 1, a ping at 3 and not again at once, over at 9") {
  auto k = started();
  CHECK(k.check(at(1)) == Verdict::HEALTHY);
  CHECK(k.check(at(3) - 1 * kj::NANOSECONDS) == Verdict::HEALTHY);
  CHECK(k.check(at(3)) == Verdict::SEND_PING);
  CHECK(k.check(at(3)) == Verdict::HEALTHY);
  CHECK(k.check(at(6)) == Verdict::SEND_PING);
  CHECK(k.check(at(9) - 1 * kj::NANOSECONDS) == Verdict::HEALTHY);
  CHECK(k.check(at(9)) == Verdict::TIMED_OUT);
  CHECK(k.silence(at(9)) == 9 * kj::SECONDS);
}

TEST_CASE("keepalive_pong_resets_timeout_budget: heard at 3, a ping due at 10, healthy at 11") {
  auto k = started();
  CHECK(k.check(at(3)) == Verdict::SEND_PING);
  k.heard(at(3));
  CHECK(k.check(at(10)) == Verdict::SEND_PING);
  CHECK(k.check(at(11)) == Verdict::HEALTHY);
  CHECK(k.check(at(12)) == Verdict::TIMED_OUT);
}

TEST_CASE("silence counts from the arrival, not from the last look") {
  auto k = started();
  CHECK(k.check(at(1)) == Verdict::HEALTHY);
  k.heard(at(8));  // nobody looked between 1 and 16
  CHECK(k.check(at(16)) == Verdict::SEND_PING);
  CHECK(k.check(at(17)) == Verdict::TIMED_OUT);
}

TEST_CASE("the next look is when a ping is due or the time is over, whichever comes first") {
  auto k = started();
  CHECK(k.nextCheck() == at(3));
  k.heard(at(2));
  CHECK(k.nextCheck() == at(5));
  CHECK(k.check(at(5)) == Verdict::SEND_PING);
  CHECK(k.nextCheck() == at(8));
  CHECK(k.check(at(10)) == Verdict::SEND_PING);
  CHECK(k.nextCheck() == at(11));  // 9 s after 2
}

}  // namespace
}  // namespace nexus
