// Many lives of a fleet of five machines, each decided by its seed. A few in plain runs; NEXUS_SEEDS=10000 for all of
// them, in the shards of the target. A seed that fails prints the command that shows it.
#include <doctest/doctest.h>
#include <stdio.h>

#include <cstdlib>
#include <string>

#include "tests/sim/fleet-scenario.h"

namespace nexus {
namespace {

uint64_t fromEnvironment(const char* name, uint64_t otherwise) {
  auto* text = getenv(name);
  return text == nullptr ? otherwise : strtoull(text, nullptr, 10);
}

kj::String told(const ScenarioResult& result, uint64_t seed) {
  return kj::str("seed ", seed, ": ", kj::strArray(result.violations, "; "),
                 "\nto see it: bazel run //tests/sim:fleet -- --seed ", seed, " --trace");
}

TEST_CASE("whatever happens to five machines, every invariant holds, and all have met within the time after it") {
  // How Bazel tells a test that it is one of several; the file says that we know.
  auto shard = fromEnvironment("TEST_SHARD_INDEX", 0), shards = fromEnvironment("TEST_TOTAL_SHARDS", 1);
  if (auto* status = getenv("TEST_SHARD_STATUS_FILE")) fclose(fopen(status, "w"));
  auto first = fromEnvironment("NEXUS_SEED", 1), seeds = fromEnvironment("NEXUS_SEEDS", 64);
  kj::Duration longest = 0 * kj::SECONDS;
  for (auto seed = first; seed < first + seeds; seed++) {
    if (seed % shards != shard) continue;
    auto result = runScenario({.seed = seed});
    longest = kj::max(longest, result.met);
    if (result.violations.size() > 0) {
      auto text = told(result, seed);
      FAIL_CHECK(std::string(text.cStr()));  // a char* would be told as an address
    }
  }
  MESSAGE("the longest way to meet took ", (longest / kj::MILLISECONDS), " ms of virtual time");
}

TEST_CASE("programs that ask more than an audit ring keeps push out the oldest records, which are counted") {
  auto result = runScenario({.seed = 1, .hostile = false, .busy = true});
  CHECK(result.violations.size() == 0);
  CHECK(result.auditDropped > 0);
}

TEST_CASE("rules are withdrawn under streams that are open") {
  uint64_t withdrawn = 0;
  for (uint64_t seed = 1; seed <= 10; seed++) withdrawn += runScenario({.seed = seed}).streams.withdrawn;
  CHECK(withdrawn > 0);
}

TEST_CASE("a seed is the same run every time, event by event, and another seed is another run") {
  for (uint64_t seed : {3, 4711}) {
    auto once = runScenario({.seed = seed});
    kj::Vector<kj::String> lines;
    auto again =
        runScenario({.seed = seed, .print = FleetTrace::Print([&](kj::StringPtr line) { lines.add(kj::str(line)); })});
    CAPTURE(seed);
    CHECK(once.events == again.events);
    CHECK(once.traceHash == again.traceHash);
    CHECK(lines.size() > again.events);  // reading along changes nothing
    CHECK(runScenario({.seed = seed + 1}).traceHash != once.traceHash);
  }
}

}  // namespace
}  // namespace nexus
