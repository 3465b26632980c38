#include "tools/vmtest/soak-gate.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus::vmtest {
namespace {

constexpr auto SEC = kj::SECONDS;
constexpr auto MS = kj::MILLISECONDS;

struct Fixture {
  explicit Fixture(SoakSettings settings = {4 * SEC, 1}) : gate(settings, 1) { gate.begin(now); }

  void traffic(kj::byte node) {
    calls[node] += 10;
    gate.traffic(node, StatusTraffic{calls[node], 0, calls[node] * 100, 0}, now);
  }
  kj::Maybe<GateFailure> step(kj::Duration time) {
    now += time;
    return gate.advance(now);
  }
  // Healthy traffic for so long; the first failure.
  kj::Maybe<GateFailure> healthy(kj::Duration time) {
    for (auto end = now + time; now < end;) {
      traffic(0);
      traffic(1);
      auto failure = step(100 * MS);
      if (failure != nullptr) return failure;
    }
    return nullptr;
  }
  void report(kj::byte node, kj::StringPtr console, kj::StringPtr status) {
    gate.line(node, kj::str("SELFTEST: soak traffic ok (", console, ")"));
    gate.step(node, StatusStep{kj::str("soak-traffic"), true, kj::str(status)});
  }
  kj::String orders() {
    kj::Vector<kj::String> texts;
    for (auto& c : gate.takeCommands()) texts.add(kj::str(NODE_NAME[c.node], ':', encodeCommand(c.command)));
    return kj::strArray(texts, " ");
  }

  static constexpr kj::StringPtr NODE_NAME[] = {"a"_kj, "b"_kj};
  kj::TimePoint now = kj::origin<kj::TimePoint>() + 50 * SEC;
  uint64_t calls[2] = {0, 0};
  SoakGate gate;
};

constexpr kj::StringPtr GOOD = "calls 100 failed 0 bytes 4096 breaks 0"_kj;

TEST_CASE("a soak begins when both nodes have traffic, lasts as long as it should, and ends with equal reports") {
  Fixture f;
  CHECK((f.step(100 * MS) == nullptr));
  CHECK(f.orders() == "");
  f.traffic(0);
  CHECK((f.step(100 * MS) == nullptr));
  CHECK(f.orders() == "");
  f.traffic(1);
  CHECK((f.step(100 * MS) == nullptr));
  CHECK(f.orders() == "a:order soak-begin b:order soak-begin");
  CHECK((f.healthy(3900 * MS) == nullptr));
  CHECK(f.orders() == "");
  CHECK((f.healthy(100 * MS) == nullptr));
  CHECK(f.orders() == "a:order soak-end b:order soak-end");
  CHECK(f.gate.roundsCompleted() == 1);
  CHECK(f.gate.checks() >= 3);
  f.report(0, GOOD, GOOD);
  CHECK((f.step(1 * MS) == nullptr));
  CHECK_FALSE(f.gate.done());
  f.report(1, GOOD, GOOD);
  CHECK((f.step(1 * MS) == nullptr));
  CHECK(f.gate.done());
  CHECK(KJ_ASSERT_NONNULL(f.gate.counts(1)).calls == 100);
}

TEST_CASE("as many rounds are soaked as were asked for") {
  Fixture f({2 * SEC, 3});
  CHECK((f.healthy(6 * SEC) == nullptr));
  CHECK(f.gate.roundsCompleted() == 2);
  CHECK((f.healthy(300 * MS) == nullptr));
  CHECK(f.gate.roundsCompleted() == 3);
}

TEST_CASE("traffic that stands still on either node has stalled at the limit, not before") {
  for (kj::byte node : {0, 1}) {
    Fixture f({60 * SEC, 1});
    CHECK((f.healthy(1 * SEC) == nullptr));
    f.traffic(node);  // the last of this node
    auto last = f.now;
    kj::Maybe<GateFailure> failure;
    while (f.now + 100 * MS < last + SoakGate::STALL_LIMIT) {
      f.traffic(1 - node);
      failure = f.step(100 * MS);
      CHECK((failure == nullptr));
    }
    f.traffic(1 - node);
    failure = f.step(100 * MS);
    CHECK(KJ_ASSERT_NONNULL(failure).exit == 89);
    CHECK(KJ_ASSERT_NONNULL(failure).node == node);
  }
}

TEST_CASE("calls without a stream are no traffic") {
  Fixture f;
  kj::Maybe<GateFailure> failure;
  for (int i = 0; i < 40 && failure == nullptr; i++) {
    f.calls[0]++;
    for (kj::byte node : {0, 1}) f.gate.traffic(node, StatusTraffic{f.calls[0], 0, 0, 0}, f.now);
    failure = f.step(100 * MS);
  }
  CHECK(KJ_ASSERT_NONNULL(failure).exit == 89);
  CHECK(f.orders() == "");
}

TEST_CASE("reports that differ, cannot be read, or tell of no traffic are failures") {
  struct {
    kj::StringPtr console, status;
    int exit;
  } rows[] = {{GOOD, "calls 101 failed 0 bytes 4096 breaks 0"_kj, 74},
              {"calls many"_kj, "calls many"_kj, 74},
              {"calls 0 failed 0 bytes 4096 breaks 0"_kj, "calls 0 failed 0 bytes 4096 breaks 0"_kj, 88},
              {"calls 9 failed 0 bytes 0 breaks 0"_kj, "calls 9 failed 0 bytes 0 breaks 0"_kj, 88}};
  for (auto& row : rows) {
    Fixture f;
    CHECK((f.healthy(5 * SEC) == nullptr));
    f.report(0, GOOD, GOOD);
    f.report(1, row.console, row.status);
    CHECK(KJ_ASSERT_NONNULL(f.step(1 * MS)).exit == row.exit);
  }
}

TEST_CASE("what the host kept the guests waiting is no standstill") {
  Fixture f({60 * SEC, 1});
  CHECK((f.healthy(1 * SEC) == nullptr));
  HeldTime held;
  held.note(0, 2 * SEC);
  f.gate.note(held);
  CHECK((f.step(SoakGate::STALL_LIMIT + 1 * SEC) == nullptr));
  auto failure = f.step(1 * SEC);
  CHECK(KJ_ASSERT_NONNULL(failure).exit == 89);
}

TEST_CASE("bad lines are counted where they stand") {
  Fixture f;
  f.gate.line(0, "dsoftbus:mux crossvm fail");
  f.gate.line(1, "SELFTEST: remote query FAIL (x)");
  f.gate.line(1, "[ 1.0] Kernel panic - not syncing: x");
  f.gate.line(1, "SELFTEST: remote query ok");
  CHECK(f.gate.hits(0).muxFail == 1);
  CHECK(f.gate.hits(0).remoteFail == 0);
  CHECK(f.gate.hits(1).remoteFail == 1);
  CHECK(f.gate.hits(1).panic == 1);
}

TEST_CASE("the text of the counts is read exactly") {
  CHECK(KJ_ASSERT_NONNULL(parseTrafficText(GOOD)).streamed == 4096);
  for (auto text : {"", "calls 1", "calls 1 failed 0 bytes 2 breaks 0 x 1", "calls x failed 0 bytes 2 breaks 0",
                    "calls 1 failed 0 bytes 2 breaks", "failed 1 calls 0 bytes 2 breaks 0"}) {
    CAPTURE(text);
    CHECK((parseTrafficText(text) == nullptr));
  }
}

}  // namespace
}  // namespace nexus::vmtest
