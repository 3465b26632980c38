#include "libs/nexus-net-os/daemon/status-server.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

TEST_CASE("a snapshot carries the report of this moment and the time since the start") {
  SimClock clock;
  uint64_t frames = 1;
  StatusSource source("testd", clock.timer, [&] {
    return StatusReport{idl::DaemonStatus::Health::DEGRADED, kj::str("one leg is lame"),
                        kj::arr(NamedCounter{"link.rxFrames"_kj, frames}, NamedCounter{"link.drops"_kj, 0})};
  });
  auto client = source.newServer();
  clock.advance(1500 * kj::MILLISECONDS);
  frames = 7;
  auto response = clock.run(client.snapshotRequest().send().dropPipeline());
  auto status = response.getStatus();
  CHECK(status.getDaemon() == "testd");
  CHECK(status.getHealth() == idl::DaemonStatus::Health::DEGRADED);
  CHECK(status.getDetail() == "one leg is lame");
  CHECK(status.getUptimeMs() == 1500);
  REQUIRE(status.getCounters().size() == 2);
  CHECK(status.getCounters()[0].getName() == "link.rxFrames");
  CHECK(status.getCounters()[0].getValue() == 7);
}

}  // namespace
}  // namespace nexus
