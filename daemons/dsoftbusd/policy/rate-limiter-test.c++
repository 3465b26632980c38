#include "daemons/dsoftbusd/policy/rate-limiter.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

kj::TimePoint at(int64_t ms) {
  return kj::origin<kj::TimePoint>() + ms * kj::MILLISECONDS;
}

TEST_CASE("the burst passes, the next call does not, and one token comes back after one period") {
  RateLimiter limiter(50, 100);
  for (int i = 0; i < 100; i++) CHECK(limiter.tryTake("a", at(0)));
  CHECK_FALSE(limiter.tryTake("a", at(0)));
  CHECK_FALSE(limiter.tryTake("a", at(19)));
  CHECK(limiter.tryTake("a", at(20)));
  CHECK_FALSE(limiter.tryTake("a", at(20)));
  CHECK(limiter.refusedCount() == 3);
}

TEST_CASE("over ten seconds a greedy caller gets the burst and the rate, no more") {
  RateLimiter limiter(50, 100);
  int passed = 0;
  for (int ms = 0; ms <= 10000; ms++) passed += limiter.tryTake("a", at(ms)) ? 1 : 0;
  CHECK(passed >= 599);
  CHECK(passed <= 600);
}

TEST_CASE("each key has its own bucket") {
  RateLimiter limiter(1, 1);
  CHECK(limiter.tryTake("a", at(0)));
  CHECK_FALSE(limiter.tryTake("a", at(0)));
  CHECK(limiter.tryTake("b", at(0)));
}

TEST_CASE("idle time does not fill a bucket beyond the burst") {
  RateLimiter limiter(50, 3);
  CHECK(limiter.tryTake("a", at(0)));
  for (int i = 0; i < 3; i++) CHECK(limiter.tryTake("a", at(3600 * 1000)));
  CHECK_FALSE(limiter.tryTake("a", at(3600 * 1000)));
}

TEST_CASE("a clock that goes back gives no tokens") {
  RateLimiter limiter(1, 1);
  CHECK(limiter.tryTake("a", at(5000)));
  CHECK_FALSE(limiter.tryTake("a", at(0)));
  CHECK_FALSE(limiter.tryTake("a", at(5500)));
  CHECK(limiter.tryTake("a", at(6000)));
}

TEST_CASE("at the bound of keys a new key is refused until another bucket is full again") {
  RateLimiter limiter(1, 2, 2);
  CHECK(limiter.tryTake("a", at(0)));
  CHECK(limiter.tryTake("b", at(0)));
  CHECK_FALSE(limiter.tryTake("c", at(0)));
  CHECK(limiter.keyCount() == 2);
  CHECK(limiter.tryTake("b", at(900)));
  CHECK(limiter.tryTake("c", at(1000)));  // a is full again and was dropped
  CHECK(limiter.keyCount() == 2);
}

TEST_CASE("new limits hold from then on: a smaller burst takes tokens away, a larger one gives none at once") {
  auto now = kj::origin<kj::TimePoint>();
  RateLimiter limiter(1, 4);
  CHECK(limiter.tryTake("a", now));
  limiter.setLimits(2, 2);
  CHECK(limiter.tryTake("a", now));
  CHECK(limiter.tryTake("a", now));
  CHECK_FALSE(limiter.tryTake("a", now));
  limiter.setLimits(1, 100);
  CHECK_FALSE(limiter.tryTake("a", now));
  CHECK(limiter.tryTake("a", now + 1 * kj::SECONDS));
  CHECK_FALSE(limiter.tryTake("a", now + 1 * kj::SECONDS));
  CHECK_THROWS(limiter.setLimits(0, 1));
}

}  // namespace
}  // namespace nexus
