#include "tools/vmtest/run-state.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/daemon/status-channel.h"

namespace nexus::vmtest {
namespace {

// A run on a clock that the test moves.
struct Run {
  explicit Run(const Profile& profile, kj::StringPtr until = nullptr,
               RunState::Limits limits = RunState::Limits::markersOnly())
      : profile(profile),
        state(profile, until == nullptr ? profile.phases.back().phase : KJ_ASSERT_NONNULL(profile.phaseByName(until)),
              kj::mv(limits), now) {}

  void say(kj::byte node, kj::StringPtr line) { state.consoleLine(node, line, ++numbers[node], now); }
  void status(kj::byte node, kj::StringPtr line) { state.statusLine(node, line, now); }
  void pass(kj::Duration time) {
    now += time;
    state.advance(now);
  }

  // Says everything up to and including `last`, as a healthy guest would, save rungs whose text is `without`.
  void healthy(kj::StringPtr last = nullptr, kj::StringPtr without = "-") {
    for (auto& rung : profile.rungs) {
      if (rung.need == Need::FORBIDDEN || rung.text() == without) continue;
      if (rung.source == Source::KERNEL_REPORT) {
        status(rung.node, "kernel 6.1.0-56-cloud-amd64");
      } else if (rung.source == Source::EXIT_REPORT) {
        status(rung.node, "exit 0");
      } else {
        say(rung.node, rung.text());
        KJ_IF_MAYBE (step, stepName(rung.marker->text)) status(rung.node, kj::str("step ", *step, " ok"));
      }
      now += 10 * kj::MILLISECONDS;
      if (rung.text() == last) return;
    }
  }

  const Failure& failure() { return KJ_ASSERT_NONNULL(state.failure()); }

  const Profile& profile;
  const kj::TimePoint start = kj::origin<kj::TimePoint>() + 7 * kj::SECONDS;
  kj::TimePoint now = start;
  kj::uint numbers[2] = {0, 0};
  RunState state;
};

TEST_CASE("a healthy run of every profile passes and counts every rung") {
  for (auto* profile : {&qemuTestProfile(), &os2vmProfile()}) {
    Run run(*profile);
    run.healthy();
    CHECK(run.state.stage() == Stage::SETTLING);
    CHECK(run.state.allExitsReported());
    for (kj::byte node = 0; node < profile->nodes; node++) run.state.nodeExited(node, "exit 0", run.now);
    run.state.finish(run.now);
    CHECK(run.state.passed());
    CHECK(run.state.reachedCount() == run.state.requiredCount());
    CHECK(run.state.warnings().size() == 0);
  }
}

TEST_CASE("without any one required rung the run fails and names it") {
  for (auto* profile : {&qemuTestProfile(), &os2vmProfile()}) {
    for (auto& rung : profile->rungs) {
      if (rung.need != Need::REQUIRED) continue;
      auto text = rung.text();
      CAPTURE(text.cStr());
      Run run(*profile);
      if (!run.state.inScope(rung)) continue;
      run.healthy(nullptr, text);
      for (int i = 0; i < 100; i++) run.pass(1 * kj::SECONDS);
      CHECK(!run.state.passed());
      REQUIRE(run.failure().rung != nullptr);
      CHECK(run.failure().rung->text() == text);
      CHECK(run.failure().phase == rung.phase);
    }
  }
}

TEST_CASE(
    "a phase that uses up its budget fails with its first missing rung, and a value equal to the budget is too much") {
  Run run(os2vmProfile());
  run.healthy("dsoftbusd: discovery announce sent");
  run.healthy("dsoftbusd: discovery peer learned");
  REQUIRE(run.state.phase() == Phase::SESSION);
  run.pass(run.state.nextDeadline() - run.now - 1 * kj::NANOSECONDS);
  CHECK(run.state.stage() == Stage::RUNNING);
  run.pass(1 * kj::NANOSECONDS);
  CHECK(run.failure().kind == FailureKind::MISSING);
  CHECK(run.failure().rung->text() == "dsoftbusd: cross-vm session ok node-b");
  CHECK(run.failure().node == 0);
}

TEST_CASE("no new marker for long enough ends a run whose phase would still have time") {
  Run run(os2vmProfile());
  run.status(0, "kernel 6.1");
  run.status(1, "kernel 6.1");
  run.pass(9 * kj::SECONDS);
  run.say(0, "net: virtio-net up");
  run.pass(4 * kj::SECONDS);
  CHECK(run.state.stage() == Stage::RUNNING);
  Run stuck(os2vmProfile());
  stuck.status(0, "kernel 6.1");
  stuck.status(1, "kernel 6.1");
  stuck.pass(10 * kj::SECONDS);
  CHECK(stuck.failure().kind == FailureKind::MISSING);
}

TEST_CASE("a guest that repeats a marker makes no progress") {
  Run run(os2vmProfile());
  run.status(0, "kernel 6.1");
  run.status(1, "kernel 6.1");
  for (int i = 0; i < 10; i++) {
    run.say(0, "net: virtio-net up");
    run.pass(1 * kj::SECONDS);
  }
  run.pass(1 * kj::SECONDS);
  CHECK(run.state.failure() != nullptr);
}

TEST_CASE("the factor stretches every limit") {
  auto limits = RunState::Limits::markersOnly();
  limits.factor = 4;
  Run run(os2vmProfile(), nullptr, kj::mv(limits));
  run.pass(39 * kj::SECONDS);
  CHECK(run.state.stage() == Stage::RUNNING);
  run.pass(1 * kj::SECONDS);
  CHECK(run.failure().kind == FailureKind::LAUNCH);
}

TEST_CASE("a FAIL line fails an otherwise whole run, even after its end") {
  Run run(os2vmProfile());
  run.healthy();
  run.say(0, "SELFTEST: remote resolve FAIL");
  run.state.finish(run.now);
  CHECK(!run.state.passed());
  CHECK(run.failure().kind == FailureKind::NEGATIVE_LINE);
  CHECK(run.failure().phase == Phase::REMOTE);
  CHECK(run.failure().rung->text() == "SELFTEST: remote resolve ok");
}

TEST_CASE("a FAIL that only the status channel tells fails the run") {
  Run run(qemuTestProfile());
  run.healthy("SELFTEST: net iface ok");
  run.status(0, "step net-ping FAIL no answer");
  CHECK(run.failure().kind == FailureKind::NEGATIVE_LINE);
  CHECK(run.failure().line == "step net-ping FAIL no answer");
}

TEST_CASE("a forbidden marker fails the run at once") {
  Run run(os2vmProfile());
  run.say(1, "net: dhcp bound 10.42.0.99/24");
  CHECK(run.failure().kind == FailureKind::FORBIDDEN_MARKER);
  CHECK(run.failure().node == 1);
  CHECK(run.failure().lineNumber == 1);
}

TEST_CASE("a lease and the fallback in one boot contradict each other, whichever comes first") {
  for (bool boundFirst : {true, false}) {
    Run run(qemuTestProfile());
    run.say(
        0, boundFirst ? "net: dhcp bound 10.0.2.15/24"_kj : "net: dhcp unavailable (fallback static 10.42.0.10/24)"_kj);
    CHECK(run.state.stage() == Stage::RUNNING);
    run.say(
        0, boundFirst ? "net: dhcp unavailable (fallback static 10.42.0.10/24)"_kj : "net: dhcp bound 10.0.2.15/24"_kj);
    CHECK(run.failure().kind == FailureKind::ADDRESS_CONFLICT);
  }
}

TEST_CASE("the fallback satisfies the address rung of qemu_test with a warning") {
  Run run(qemuTestProfile());
  run.say(0, "net: dhcp unavailable (fallback static 10.42.0.10/24)");
  REQUIRE(run.state.warnings().size() == 1);
  CHECK(run.state.failure() == nullptr);
}

TEST_CASE("a guest on another address than the node's own does not satisfy the ladder") {
  Run run(os2vmProfile());
  run.healthy(nullptr, "net: lwip iface up 10.42.0.10");
  run.say(0, "net: lwip iface up 10.42.0.101");
  run.pass(20 * kj::SECONDS);
  CHECK(run.failure().rung->text() == "net: lwip iface up 10.42.0.10");
}

TEST_CASE("a kernel panic is told as such and not as a missing marker") {
  Run run(qemuTestProfile());
  run.status(0, "kernel 6.1");
  run.say(0, "[    1.785822] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100");
  CHECK(run.failure().kind == FailureKind::PANIC);
}

TEST_CASE("QEMU that exits before the guest spoke is a launch failure, later it ends the phase") {
  Run launch(os2vmProfile());
  launch.state.nodeExited(1, "exit 1", launch.now);
  CHECK(launch.failure().kind == FailureKind::LAUNCH);
  CHECK(launch.failure().node == 1);
  Run later(os2vmProfile());
  later.healthy("dsoftbusd: discovery peer learned");
  later.state.nodeExited(1, "signal 9", later.now);
  CHECK(later.failure().kind == FailureKind::NODE_ENDED);
  CHECK(later.failure().node == 1);
}

TEST_CASE("a selftest that is over without a required step ends the wait early") {
  Run run(os2vmProfile());
  run.healthy("dsoftbusd: discovery announce sent");
  run.say(0, "SELFTEST: end");
  CHECK(run.failure().kind == FailureKind::NODE_ENDED);
  CHECK(run.failure().phase == Phase::SESSION);
  Run skipped(os2vmProfile());
  skipped.healthy(nullptr, "SELFTEST: remote query ok");
  CHECK(skipped.failure().kind == FailureKind::NODE_ENDED);
  CHECK(skipped.failure().rung->text() == "SELFTEST: remote query ok");
}

TEST_CASE("an exit status that is not zero fails a run whose markers are all there") {
  Run run(qemuTestProfile());
  run.healthy("SELFTEST: end");
  run.status(0, "exit 3");
  CHECK(run.failure().kind == FailureKind::DISAGREEMENT);
}

TEST_CASE("a step that the status channel never confirmed is found at the end") {
  Run run(qemuTestProfile());
  for (auto& rung : qemuTestProfile().rungs) {
    if (rung.source == Source::CONSOLE && rung.need != Need::FORBIDDEN) run.say(0, rung.text());
  }
  run.status(0, "kernel 6.1");
  run.status(0, "exit 0");
  CHECK(run.state.stage() == Stage::SETTLING);
  run.state.finish(run.now);
  CHECK(run.failure().kind == FailureKind::DISAGREEMENT);
}

TEST_CASE("a step that is not on the ladder is compared all the same") {
  Run both(os2vmProfile()), one(os2vmProfile());
  both.healthy();
  both.say(0, "SELFTEST: net iface ok");
  both.status(0, "step net-iface ok");
  both.state.finish(both.now);
  CHECK(both.state.passed());
  one.healthy();
  one.status(0, "step net-iface ok");
  one.state.finish(one.now);
  CHECK(one.failure().kind == FailureKind::DISAGREEMENT);
}

TEST_CASE("a run that was asked to stop after a phase passes there and ignores what only later phases need") {
  Run run(os2vmProfile(), "session");
  run.healthy("dsoftbusd: cross-vm session ok node-a");
  CHECK(run.state.stage() == Stage::SETTLING);
  run.state.finish(run.now);
  CHECK(run.state.passed());
  CHECK(run.state.requiredCount() < os2vmProfile().rungs.size());
}

TEST_CASE("only the exit that the profile brings about itself is forgiven, and only once") {
  Run run(qemuTestProfile());
  run.status(0, "service virtionetd exit signal 9");
  CHECK(run.state.failure() == nullptr);
  run.status(0, "service virtionetd exit signal 9");
  CHECK(run.failure().kind == FailureKind::SERVICE_DIED);
  Run crash(qemuTestProfile());
  crash.status(0, "service netstackd exit signal 11");
  CHECK(crash.failure().kind == FailureKind::SERVICE_DIED);
  Run other(os2vmProfile());
  other.status(0, "service virtionetd exit signal 9");
  CHECK(other.failure().kind == FailureKind::SERVICE_DIED);
}

TEST_CASE("services that are stopped after the exit report are no failure") {
  Run run(qemuTestProfile());
  run.healthy();
  run.status(0, "service netstackd exit signal 15");
  run.state.finish(run.now);
  CHECK(run.state.passed());
}

TEST_CASE("another kernel than the image's is a disagreement") {
  auto limits = RunState::Limits::markersOnly();
  limits.kernelRelease = kj::str("6.1.0-56-cloud-amd64");
  Run run(qemuTestProfile(), nullptr, kj::mv(limits));
  run.status(0, "kernel 5.10.0");
  CHECK(run.failure().kind == FailureKind::DISAGREEMENT);
}

TEST_CASE("the control run passes on the FAIL that both channels tell, and fails on ok and on another reason") {
  Run run(dmaIsolationControlProfile());
  run.status(0, "kernel 6.1");
  run.say(0, kj::str(dmaIsolationControlProfile().rungs[1].text(), " 64 bytes of another process)"));
  CHECK(run.state.stage() == Stage::RUNNING);
  run.status(0, "step dma-isolation FAIL canary changed");
  CHECK(run.state.stage() == Stage::SETTLING);
  run.state.finish(run.now);
  CHECK(run.state.passed());
  Run blind(dmaIsolationControlProfile());
  blind.status(0, "kernel 6.1");
  blind.say(0, "SELFTEST: dma isolation ok");
  CHECK(blind.failure().kind == FailureKind::FORBIDDEN_MARKER);
  Run refused(dmaIsolationControlProfile());
  refused.say(0, "SELFTEST: dma isolation FAIL (the device does not offer ACCESS_PLATFORM)");
  CHECK(refused.failure().kind == FailureKind::NEGATIVE_LINE);
  Run other(dmaIsolationControlProfile());
  other.say(0, "SELFTEST: net iface FAIL");
  CHECK(other.failure().kind == FailureKind::NEGATIVE_LINE);
}

TEST_CASE("the first failure wins") {
  Run run(os2vmProfile());
  run.say(0, "SELFTEST: remote query FAIL");
  run.say(1, "Kernel panic - not syncing: x");
  run.state.interrupted(run.now);
  CHECK(run.failure().kind == FailureKind::NEGATIVE_LINE);
}

TEST_CASE("a line that is no message on the status channel is a warning, told once") {
  Run run(os2vmProfile());
  for (int i = 0; i < 100; i++) run.status(0, "garbage");
  CHECK(run.state.warnings().size() == 1);
  CHECK(run.state.failure() == nullptr);
}

TEST_CASE("what the host kept the guests waiting is added to a phase's budget, up to a bound, and told") {
  Run run(os2vmProfile());
  HeldTime held;
  auto budget = run.state.budget(Phase::LAUNCH);
  held.note(1, 5 * kj::SECONDS);
  run.state.note(held);
  run.pass(budget + 4 * kj::SECONDS);
  CHECK(run.state.stage() == Stage::RUNNING);
  held.note(0, 7 * kj::SECONDS);
  run.state.note(held);
  run.pass(2 * kj::SECONDS);
  CHECK(run.state.stage() == Stage::RUNNING);
  run.pass(1 * kj::SECONDS);
  REQUIRE(run.state.failure() != nullptr);
  CHECK(run.failure().kind == FailureKind::LAUNCH);
  CHECK(
      run.failure().what ==
      kj::str("\"initd reports its kernel\" did not come: the phase's budget of 10s is used up, and 7 s more in which "
              "this machine ran other programs"));
}

TEST_CASE("a guest that never gets a processor ends the run all the same") {
  Run run(os2vmProfile());
  HeldTime held;
  auto budget = run.state.budget(Phase::LAUNCH);
  for (int i = 0; i < 1000 && run.state.stage() == Stage::RUNNING; i++) {
    held.note(0, run.now - run.start);
    run.state.note(held);
    run.pass(100 * kj::MILLISECONDS);
  }
  REQUIRE(run.state.failure() != nullptr);
  CHECK(run.failure().at >= budget * HeldTime::LARGEST_FACTOR);
  CHECK(run.failure().at <= budget * HeldTime::LARGEST_FACTOR + 200 * kj::MILLISECONDS);
}

TEST_CASE("what was held before a marker came does not count for the next one") {
  Run run(os2vmProfile());
  HeldTime held;
  held.note(0, 60 * kj::SECONDS);
  run.state.note(held);
  run.pass(20 * kj::SECONDS);
  for (kj::byte node : {0, 1}) run.status(node, "kernel 6.1.0-56-cloud-amd64");
  REQUIRE(run.state.phase() == Phase::DISCOVERY);
  run.pass(os2vmProfile().progressLimit - 1 * kj::MILLISECONDS);
  CHECK(run.state.failure() == nullptr);
  run.pass(1 * kj::MILLISECONDS);
  CHECK(run.state.failure() != nullptr);
}

}  // namespace
}  // namespace nexus::vmtest
