#include "tools/vmtest/perf-gate.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus::vmtest {
namespace {

constexpr auto MS = kj::MILLISECONDS;

PerfSettings set(kj::StringPtr name, kj::Duration budget, bool enabled = true) {
  return {enabled, kj::arr(BudgetSetting{name, budget})};
}

TEST_CASE("a value equal to its budget passes and one millisecond more is its failure") {
  struct {
    kj::StringPtr name;
    Phase phase;
    int exit;
  } rows[] = {{"discovery"_kj, Phase::DISCOVERY, 81},
              {"session"_kj, Phase::SESSION, 82},
              {"mux"_kj, Phase::MUX, 83},
              {"remote"_kj, Phase::REMOTE, 84}};
  for (auto& row : rows) {
    CAPTURE(row.name.cStr());
    PerfGate equal(set(row.name, 700 * MS), 4), above(set(row.name, 700 * MS), 4);
    equal.phaseOver(row.phase, 700 * MS);
    above.phaseOver(row.phase, 701 * MS);
    CHECK((equal.check() == nullptr));
    CHECK(KJ_ASSERT_NONNULL(above.check()).exit == row.exit);
  }
  PerfGate total(set("total", 700 * MS), 1);
  total.setTotal(700 * MS);
  CHECK((total.check() == nullptr));
  total.setTotal(701 * MS);
  CHECK(KJ_ASSERT_NONNULL(total.check()).exit == 85);
}

TEST_CASE("the factor stretches the defaults and not what the user has set") {
  PerfGate gate(set("session", 100 * MS), 4);
  CHECK(gate.table()[0].budget == 60 * kj::SECONDS);
  CHECK(gate.table()[1].budget == 100 * MS);
  CHECK(gate.table()[4].budget == 480 * kj::SECONDS);
}

TEST_CASE("booting counts as discovery") {
  PerfGate gate(set("discovery", 1000 * MS), 1);
  gate.phaseOver(Phase::LAUNCH, 600 * MS);
  CHECK((gate.check() == nullptr));
  gate.phaseOver(Phase::DISCOVERY, 401 * MS);
  CHECK(KJ_ASSERT_NONNULL(gate.check()).what == "discovery took 1001 ms, its budget is 1000 ms");
}

TEST_CASE("budgets that are off hold nobody up, and the first one in the order of phases is told") {
  PerfGate off(set("session", 0 * MS, false), 1);
  off.phaseOver(Phase::SESSION, 1 * MS);
  CHECK((off.check() == nullptr));
  PerfSettings both{true, kj::arr(BudgetSetting{"remote"_kj, 0 * MS}, BudgetSetting{"session"_kj, 0 * MS})};
  PerfGate gate(both, 1);
  gate.phaseOver(Phase::SESSION, 1 * MS);
  gate.phaseOver(Phase::REMOTE, 1 * MS);
  CHECK(KJ_ASSERT_NONNULL(gate.check()).exit == 82);
}

}  // namespace
}  // namespace nexus::vmtest
