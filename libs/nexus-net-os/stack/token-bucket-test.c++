#include "libs/nexus-net-os/stack/token-bucket.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

constexpr uint64_t MS = 1'000'000, SECOND = 1000 * MS;

TEST_CASE("a full bucket gives its rate at once, then one token for each interval") {
  TokenBucket bucket(10);
  for (int i = 0; i < 10; ++i) CHECK(bucket.take(5 * SECOND));
  CHECK(!bucket.take(5 * SECOND));
  CHECK(!bucket.take(5 * SECOND + 99 * MS));
  CHECK(bucket.take(5 * SECOND + 100 * MS));
  CHECK(!bucket.take(5 * SECOND + 100 * MS));
}

TEST_CASE("fractions are not lost, however often it is asked") {
  TokenBucket bucket(3);
  while (bucket.take(0)) {
  }
  int taken = 0;
  for (uint64_t ms = 1; ms <= 10'000; ++ms) taken += bucket.take(ms * MS);
  CHECK(taken == 30);
}

TEST_CASE("a long rest saves no more than one second's worth") {
  TokenBucket bucket(5);
  while (bucket.take(0)) {
  }
  int taken = 0;
  while (bucket.take(uint64_t(1) << 62)) ++taken;
  CHECK(taken == 5);
}

TEST_CASE("a rate of zero allows nothing") {
  TokenBucket bucket(0);
  CHECK(!bucket.take(100 * SECOND));
}

}  // namespace
}  // namespace nexus
