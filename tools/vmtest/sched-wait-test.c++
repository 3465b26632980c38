#include "tools/vmtest/sched-wait.h"

#include <doctest/doctest.h>
#include <unistd.h>

namespace nexus::vmtest {
namespace {

TEST_CASE("threads run beside each other: what they ran is added up, what they waited is not") {
  SchedTimes times;
  addSchedStat(times, "1500000000 250000000 12\n");
  addSchedStat(times, "500000000 4000000000 9\n");
  addSchedStat(times, "0 1 0\n");
  CHECK(times.ran == 2 * kj::SECONDS);
  CHECK(times.waited == 4 * kj::SECONDS);
}

TEST_CASE("what is no such line adds nothing") {
  SchedTimes times;
  for (auto line : {"", "x", "17", "17 y 3", "\n"}) addSchedStat(times, line);
  CHECK(times.ran == 0 * kj::SECONDS);
  CHECK(times.waited == 0 * kj::SECONDS);
}

TEST_CASE("a process that is not there has waited for nothing; this one has run") {
  CHECK(schedTimes(0x7fffffff).ran == 0 * kj::SECONDS);
  volatile uint64_t sum = 0;
  for (int i = 0; i < 1000000; i++) sum = sum + uint64_t(i);
  if (access("/proc/self/schedstat", R_OK) == 0) CHECK(schedTimes(getpid()).ran > 0 * kj::SECONDS);
}

}  // namespace
}  // namespace nexus::vmtest
