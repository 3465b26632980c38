#include "tools/vmtest/chaos-run.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include <tuple>

namespace nexus::vmtest {
namespace {

constexpr auto SEC = kj::SECONDS;
constexpr auto MS = kj::MILLISECONDS;
using What = StatusChaos::What;

kj::Array<ChaosEvent> oneKill(kj::StringPtr service = "samgrd"_kj) {
  return kj::arr(ChaosEvent{ChaosEvent::Kind::KILL, 1, service, 0 * SEC, 1 * SEC});
}
kj::Array<ChaosEvent> oneCut() {
  return kj::arr(ChaosEvent{ChaosEvent::Kind::CUT, 0, ""_kj, 2 * SEC, 1 * SEC});
}

struct Fixture {
  explicit Fixture(kj::Array<ChaosEvent> plan) : run(kj::mv(plan), 1) { run.begin(now); }

  kj::Maybe<GateFailure> step(kj::Duration time = 1 * MS) {
    now += time;
    return run.advance(now);
  }
  int exit(kj::Duration time) { return KJ_ASSERT_NONNULL(step(time)).exit; }
  void both(What what, uint32_t ms = 0, uint32_t event = 0) {
    for (kj::byte node : {0, 1}) run.chaos(node, StatusChaos{event, what, ms});
  }
  kj::String orders() {
    kj::Vector<kj::String> texts;
    for (auto& c : run.takeCommands()) texts.add(kj::str(NODE_NAMES[c.node], ':', encodeCommand(c.command)));
    return kj::strArray(texts, ", ");
  }
  // Up to the moment at which the service is dead.
  void kill(kj::StringPtr service = "samgrd"_kj) {
    CHECK((step(ChaosRun::PAUSE) == nullptr));
    CHECK(orders() == "A:order arm 0, B:order arm 0");
    both(What::ARMED);
    CHECK((step() == nullptr));
    CHECK(orders() == kj::str("B:kill ", service));
    CHECK(run.serviceEnded(1, service, "signal 9", now));
    CHECK(orders() == "A:order go 0, B:order go 0");
  }

  kj::TimePoint now = kj::origin<kj::TimePoint>() + 9 * SEC;
  ChaosRun run;
};

TEST_CASE("a kill is armed on both nodes, done, and over when service, calls and streams of both are back") {
  Fixture f(oneKill());
  f.kill();
  f.now += 30 * MS;
  f.run.serviceStarted(1, "samgrd", f.now);
  f.run.chaos(0, {0, What::CALL, 100});
  f.run.chaos(0, {0, What::STREAM, 110});
  f.run.chaos(1, {0, What::CALL, 412});
  CHECK((f.step() == nullptr));
  CHECK_FALSE(f.run.done());
  f.run.chaos(1, {0, What::STREAM, 80});
  CHECK((f.step() == nullptr));
  CHECK(f.run.done());
  CHECK(KJ_ASSERT_NONNULL(f.run.recovery(0).callMs) == 412);
  CHECK(KJ_ASSERT_NONNULL(f.run.recovery(0).streamMs) == 110);
  CHECK(KJ_ASSERT_NONNULL(f.run.recovery(0).back) == 30 * MS);
  CHECK(f.run.overCount() == 1);
}

TEST_CASE("nothing is killed before both nodes have taken the time") {
  Fixture f(oneKill());
  CHECK((f.step(ChaosRun::PAUSE) == nullptr));
  f.orders();
  f.run.chaos(0, {0, What::ARMED, 0});
  CHECK((f.step(ChaosRun::ANSWER_LIMIT - 1 * MS) == nullptr));
  CHECK(f.orders() == "");
  CHECK(f.exit(1 * MS) == 103);
}

TEST_CASE("only the death that was asked for is expected, once; a companion's only after it") {
  Fixture f(oneKill("netstackd"_kj));
  CHECK_FALSE(f.run.serviceEnded(1, "netstackd", "signal 9", f.now));
  f.step(ChaosRun::PAUSE);
  f.both(What::ARMED);
  f.step();
  CHECK_FALSE(f.run.serviceEnded(0, "netstackd", "signal 9", f.now));
  CHECK_FALSE(f.run.serviceEnded(1, "samgrd", "signal 9", f.now));
  CHECK_FALSE(f.run.serviceEnded(1, "virtionetd", "exit 1", f.now));
  CHECK_FALSE(f.run.serviceEnded(1, "netstackd", "signal 11", f.now));
  CHECK(f.run.serviceEnded(1, "netstackd", "signal 9", f.now));
  CHECK_FALSE(f.run.serviceEnded(1, "netstackd", "signal 9", f.now));
  CHECK(f.run.serviceEnded(1, "virtionetd", "exit 1", f.now));
  CHECK_FALSE(f.run.serviceEnded(0, "virtionetd", "exit 1", f.now));
}

TEST_CASE("a recovery may take longer by what the host kept the guests waiting since it was armed, and no more") {
  for (auto [held, ms, fails] :
       {std::tuple{500, 1400, false}, {500, 1501, true}, {60000, 61000, false}, {60000, 61001, true}}) {
    CAPTURE(held);
    CAPTURE(ms);
    Fixture f(oneKill());  // budget 1 s
    HeldTime waited;
    waited.note(0, 9 * kj::SECONDS);  // before
    f.run.note(waited);
    f.kill();
    waited.note(0, 9 * kj::SECONDS + held * MS);
    f.run.note(waited);
    f.run.serviceStarted(1, "samgrd", f.now);
    f.both(What::CALL, uint32_t(ms));
    f.both(What::STREAM, 5);
    auto failure = f.step();
    CHECK((failure != nullptr) == fails);
    if (fails) CHECK(KJ_ASSERT_NONNULL(failure).exit == 105);
  }
}

TEST_CASE("what must come may come later by what the host kept the guests waiting") {
  Fixture f(oneKill());
  f.step(ChaosRun::PAUSE);
  f.both(What::ARMED);
  f.step();
  HeldTime waited;
  waited.note(1, 2 * kj::SECONDS);
  f.run.note(waited);
  CHECK((f.step(ChaosRun::ANSWER_LIMIT + 2 * kj::SECONDS - 1 * MS) == nullptr));
  CHECK(f.exit(1 * MS) == 102);
}

TEST_CASE("each thing that does not come back has its own failure, at the limit") {
  SUBCASE("the death") {
    Fixture f(oneKill());
    f.step(ChaosRun::PAUSE);
    f.both(What::ARMED);
    f.step();
    CHECK((f.step(ChaosRun::ANSWER_LIMIT - 1 * MS) == nullptr));
    CHECK(f.exit(1 * MS) == 102);
  }
  SUBCASE("the service") {
    Fixture f(oneKill());
    f.kill();
    f.both(What::CALL, 5);
    f.both(What::STREAM, 5);
    CHECK((f.step(ChaosRun::RECOVERY_LIMIT - 1 * MS) == nullptr));
    CHECK(f.exit(1 * MS) == 101);
  }
  SUBCASE("the calls of one node") {
    Fixture f(oneKill());
    f.kill();
    f.run.serviceStarted(1, "samgrd", f.now);
    f.run.chaos(0, {0, What::CALL, 5});
    f.both(What::STREAM, 5);
    CHECK((f.step(ChaosRun::RECOVERY_LIMIT - 1 * MS) == nullptr));
    auto failure = f.step(1 * MS);
    CHECK(KJ_ASSERT_NONNULL(failure).exit == 103);
    CHECK(KJ_ASSERT_NONNULL(failure).node == 1);
  }
  SUBCASE("the stream of one node") {
    Fixture f(oneKill());
    f.kill();
    f.run.serviceStarted(1, "samgrd", f.now);
    f.both(What::CALL, 5);
    f.run.chaos(1, {0, What::STREAM, 5});
    CHECK((f.step(ChaosRun::RECOVERY_LIMIT - 1 * MS) == nullptr));
    CHECK(f.exit(1 * MS) == 104);
  }
}

TEST_CASE("a recovery as long as its budget passes and one millisecond more does not") {
  for (uint32_t ms : {1000, 1001}) {
    Fixture f(oneKill());
    f.kill();
    f.run.serviceStarted(1, "samgrd", f.now);
    f.both(What::CALL, 5);
    f.both(What::STREAM, ms);
    auto failure = f.step();
    CHECK((failure == nullptr) == (ms == 1000));
    if (ms == 1001) CHECK(KJ_ASSERT_NONNULL(failure).exit == 105);
  }
}

TEST_CASE("what is told of another event, or before the thing has happened, counts for nothing") {
  Fixture f(oneKill());
  f.both(What::CALL, 1);
  f.step(ChaosRun::PAUSE);
  f.both(What::ARMED, 0, 7);
  CHECK((f.step() == nullptr));
  f.orders();
  f.both(What::ARMED);
  f.step();
  f.both(What::CALL, 1);
  f.run.serviceEnded(1, "samgrd", "signal 9", f.now);
  f.both(What::CALL, 1, 3);
  CHECK((f.run.recovery(0).callMs == nullptr));
}

TEST_CASE("a cut lasts as long as it should, is healed before go, and is timed from the healing") {
  Fixture f(oneCut());
  CHECK((f.step(ChaosRun::PAUSE) == nullptr));
  CHECK(f.run.linkCut());
  CHECK(f.orders() == "");
  CHECK((f.step(2 * SEC - 1 * MS) == nullptr));
  CHECK(f.orders() == "");
  CHECK((f.step(1 * MS) == nullptr));
  CHECK(f.orders() == "A:order arm 0, B:order arm 0");
  CHECK(f.run.linkCut());
  f.both(What::ARMED);
  CHECK((f.step() == nullptr));
  CHECK_FALSE(f.run.linkCut());
  CHECK(f.orders() == "A:order go 0, B:order go 0");
  f.both(What::CALL, 30);
  f.both(What::STREAM, 40);
  CHECK((f.step() == nullptr));
  CHECK(f.run.done());
}

TEST_CASE("calls that are answered through a cut link show that it is none") {
  Fixture f(oneCut());
  f.step(ChaosRun::PAUSE);
  f.run.traffic(0, {10, 0, 0, 0}, f.now);
  CHECK((f.step(ChaosRun::CUT_SETTLES) == nullptr));
  f.run.traffic(0, {12, 0, 0, 0}, f.now);
  f.run.traffic(0, {12, 5, 0, 0}, f.now);
  CHECK((f.step() == nullptr));
  f.run.traffic(0, {13, 5, 0, 0}, f.now);
  CHECK(f.exit(1 * MS) == 108);
}

TEST_CASE("without events the phase is over at once") {
  Fixture f(nullptr);
  CHECK(f.run.done());
  CHECK_FALSE(f.run.linkCut());
}

}  // namespace
}  // namespace nexus::vmtest
