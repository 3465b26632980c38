#include "tools/vmtest/rung-book.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus::vmtest {
namespace {

RungBook book(Phase until, Phase without = Phase::BUILD) {
  return RungBook(os2vmProfile(), until, [without](Phase phase) { return phase != without; });
}

size_t indexOf(const Marker& marker, kj::byte node) {
  auto& rungs = os2vmProfile().rungs;
  for (size_t i = 0; i < rungs.size(); i++) {
    if (rungs[i].marker == &marker && rungs[i].node == node) return i;
  }
  KJ_FAIL_REQUIRE("no such rung");
}

Reached reachedAt(kj::uint line) {
  return {5 * kj::MILLISECONDS, line, kj::str("x"), false};
}

void reachAll(RungBook& book, Phase last) {
  for (size_t i = 0; i < os2vmProfile().rungs.size(); i++) {
    auto& rung = os2vmProfile().rungs[i];
    if (rung.need == Need::REQUIRED && rung.phase <= last) book.reach(i, reachedAt(1));
  }
}

TEST_CASE("a rung is reached once, and the first time stays") {
  auto b = book(Phase::END);
  auto i = indexOf(marker::BUS_CROSS_SESSION_B, 0);
  CHECK(b.reach(i, reachedAt(7)));
  CHECK_FALSE(b.reach(i, reachedAt(9)));
  CHECK(KJ_ASSERT_NONNULL(b.reached(i)).lineNumber == 7);
  CHECK((b.reached(i + 1) == nullptr));
}

TEST_CASE("the first that is missing is the first required one, of the node and the phase that are asked for") {
  auto b = book(Phase::END);
  auto at = [&](kj::Maybe<kj::byte> node, kj::Maybe<Phase> phase) {
    return KJ_ASSERT_NONNULL(b.firstMissing(node, phase));
  };
  CHECK(at(nullptr, nullptr) == 0);
  CHECK(at(kj::byte(1), nullptr) == 1);
  CHECK(at(nullptr, Phase::SESSION) == indexOf(marker::BUS_CROSS_SESSION_B, 0));  // not the info rungs before it
  CHECK(at(kj::byte(1), Phase::SESSION) == indexOf(marker::BUS_CROSS_SESSION_A, 1));
  reachAll(b, Phase::SESSION);
  CHECK((b.firstMissing(nullptr, Phase::SESSION) == nullptr));
  CHECK(at(kj::byte(0), nullptr) == indexOf(marker::BUS_MUX_CROSSVM_UP, 0));
}

TEST_CASE("of a phase that is left out nothing is missing, in scope or counted") {
  auto whole = book(Phase::END), without = book(Phase::END, Phase::SOAK);
  reachAll(without, Phase::DENY);
  CHECK(KJ_ASSERT_NONNULL(without.firstMissing(kj::byte(1), nullptr)) == indexOf(marker::SELFTEST_CHAOS, 1));
  CHECK_FALSE(without.inScope(os2vmProfile().rungs[indexOf(marker::SELFTEST_SOAK, 0)]));
  CHECK(whole.requiredCount() == without.requiredCount() + 2);
}

TEST_CASE("behind the phase that was asked for nothing counts, but a whole run would still need it") {
  auto b = book(Phase::SESSION);
  reachAll(b, Phase::SESSION);
  CHECK(b.reachedCount() == b.requiredCount());
  CHECK((b.firstMissing(nullptr, nullptr) != nullptr));
  CHECK((b.firstMissingOfSelftest(0) == nullptr));
}

TEST_CASE("what the selftest still owes is its own markers alone") {
  auto b = book(Phase::END);
  CHECK(KJ_ASSERT_NONNULL(b.firstMissingOfSelftest(0)) == indexOf(marker::SELFTEST_MUX_CROSSVM_PRI, 0));
  reachAll(b, Phase::MUX);
  CHECK(KJ_ASSERT_NONNULL(b.firstMissingOfSelftest(1)) == indexOf(marker::SELFTEST_REMOTE_SEEN, 1));
}

TEST_CASE("a FAIL line and a step's name lead to their rung, on their node alone") {
  auto b = book(Phase::END);
  auto* failed = b.stepOfFailLine(0, "SELFTEST: remote query FAIL (status 1)");
  REQUIRE(failed != nullptr);
  CHECK(failed->marker == &marker::SELFTEST_REMOTE_QUERY);
  CHECK(b.stepOfFailLine(1, "SELFTEST: remote query FAIL") == nullptr);
  CHECK(b.stepByName(0, "remote-query") == failed);
  CHECK(b.stepByName(0, "remote") == nullptr);
  CHECK((b.expectedFailure(0) == nullptr));
  RungBook control(dmaIsolationControlProfile(), Phase::ISOLATION, [](Phase) { return true; });
  CHECK((control.expectedFailure(0) != nullptr));
}

}  // namespace
}  // namespace nexus::vmtest
