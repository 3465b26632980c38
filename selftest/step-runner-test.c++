#include "selftest/step-runner.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

struct Fixture final : StepSink {
  SimClock clock;
  StepRunner runner{clock.timer, *this, 100};
  kj::Vector<kj::String> lines;

  kj::Promise<void> passed(const Marker& marker, kj::StringPtr) override {
    lines.add(kj::str(marker.text));
    return kj::READY_NOW;
  }
  kj::Promise<void> failed(const Marker& marker, kj::StringPtr reason) override {
    lines.add(failLine(marker, reason));
    return kj::READY_NOW;
  }
  int64_t elapsedMs() { return (clock.timer.now() - kj::origin<kj::TimePoint>()) / kj::MILLISECONDS; }
};

TEST_CASE("a step that succeeds prints its marker, after the behaviour and not before") {
  Fixture f;
  auto done = f.runner.step(marker::SELFTEST_NET_PING, 1 * kj::SECONDS,
                            [&]() -> kj::Promise<void> { return f.clock.timer.afterDelay(10 * kj::MILLISECONDS); });
  f.clock.settle();
  CHECK(f.lines.size() == 0);
  CHECK(f.clock.run(kj::mv(done)));
  REQUIRE(f.lines.size() == 1);
  CHECK(f.lines[0] == "SELFTEST: net ping ok");
  CHECK(f.runner.failures() == 0);
}

TEST_CASE("a step that fails says why on its line, and the next one runs all the same") {
  Fixture f;
  CHECK_FALSE(f.clock.run(f.runner.step(marker::SELFTEST_NET_PING, 1 * kj::SECONDS, []() -> kj::Promise<void> {
    return KJ_EXCEPTION(FAILED, "the gateway said\nnothing");
  })));
  CHECK(f.clock.run(
      f.runner.step(marker::SELFTEST_ICMP_PING, 1 * kj::SECONDS, []() -> kj::Promise<void> { return kj::READY_NOW; })));
  CHECK(f.lines[0] == "SELFTEST: net ping FAIL (the gateway said?nothing)");
  CHECK(f.lines[1] == "SELFTEST: icmp ping ok");
  CHECK(f.runner.failures() == 1);
}

TEST_CASE("a body that never ends is cancelled at the deadline") {
  Fixture f;
  bool cancelled = false;
  CHECK_FALSE(f.clock.run(f.runner.step(marker::SELFTEST_NET_PING, 1500 * kj::MILLISECONDS, [&]() {
    return kj::Promise<void>(kj::NEVER_DONE).attach(kj::defer([&] { cancelled = true; }));
  })));
  CHECK(cancelled);
  CHECK(f.elapsedMs() == 1500);
  CHECK(f.lines[0] == "SELFTEST: net ping FAIL (not done within 1500 ms)");
}

TEST_CASE("a body that throws before its first wait fails like any other") {
  Fixture f;
  CHECK_FALSE(f.clock.run(f.runner.step(marker::SELFTEST_NET_PING, 1 * kj::SECONDS,
                                        []() -> kj::Promise<void> { KJ_FAIL_REQUIRE("at once"); })));
  CHECK(f.runner.failures() == 1);
}

TEST_CASE("the scale stretches deadlines") {
  Fixture f;
  StepRunner slow(f.clock.timer, f, 250);
  CHECK_FALSE(f.clock.run(
      slow.step(marker::SELFTEST_NET_PING, 1 * kj::SECONDS, [] { return kj::Promise<void>(kj::NEVER_DONE); })));
  CHECK(f.elapsedMs() == 2500);
}

TEST_CASE("retry ends with the first success") {
  Fixture f;
  int attempts = 0;
  f.clock.run(f.runner.retry(4 * kj::SECONDS, 100 * kj::MILLISECONDS, [&]() -> kj::Promise<void> {
    if (++attempts < 3) return KJ_EXCEPTION(DISCONNECTED, "not yet");
    return kj::READY_NOW;
  }));
  CHECK(attempts == 3);
  CHECK(f.elapsedMs() == 200);
}

TEST_CASE("retry gives up at its limit with the last reason") {
  Fixture f;
  int attempts = 0;
  auto done = f.runner.retry(4 * kj::SECONDS, 1 * kj::SECONDS,
                             [&]() -> kj::Promise<void> { return KJ_EXCEPTION(DISCONNECTED, "attempt", ++attempts); });
  try {
    f.clock.run(kj::mv(done));
    FAIL("it gave no reason");
  } catch (const kj::Exception& e) {
    CHECK(e.getDescription() == "attempt; ++attempts = 5");
  }
  CHECK(attempts == 5);
  CHECK(f.elapsedMs() == 4000);
}

}  // namespace
}  // namespace nexus
