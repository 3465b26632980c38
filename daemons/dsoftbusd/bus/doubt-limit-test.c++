#include "daemons/dsoftbusd/bus/doubt-limit.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

TEST_CASE("announcements are followed by one question a second at most") {
  auto now = kj::origin<kj::TimePoint>() + 1 * kj::HOURS;
  DoubtLimit limit;
  CHECK(limit.take(now));
  CHECK_FALSE(limit.take(now));
  CHECK_FALSE(limit.take(now + DoubtLimit::SPACING - 1 * kj::NANOSECONDS));
  CHECK(limit.take(now + DoubtLimit::SPACING));
}

TEST_CASE("dials in vain are further and further apart, up to a bound") {
  auto start = kj::origin<kj::TimePoint>();
  auto now = start;
  DoubtLimit limit;
  kj::uint dials = 0;
  kj::Duration longest = 0 * kj::SECONDS;
  auto last = now;
  for (; now < start + 10 * kj::MINUTES; now += 10 * kj::MILLISECONDS) {
    if (!limit.take(now)) continue;
    if (dials > 0) longest = kj::max(longest, now - last);
    last = now;
    dials++;
    limit.inVain(now);
  }
  CHECK(longest == DoubtLimit::LARGEST_PAUSE);
  CHECK(dials == 5 + 18);  // after 1, 2, 4, 8 and 16 s, then every 32 s
}

}  // namespace
}  // namespace nexus
