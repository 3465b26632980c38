#pragma once
// Phase perf: how long the earlier phases took, against budgets. A value equal to its budget passes. Unlike the limits
// of the waits, which end a run that hangs, these say that a run which got there was too slow. Pure. Owned by the late
// phases.
#include <kj/array.h>
#include <kj/time.h>

#include "tools/vmtest/gate-failure.h"
#include "tools/vmtest/ladder.h"

namespace nexus::vmtest {

// What the user sets with --budget: taken as it is, whatever the factor.
struct BudgetSetting {
  kj::StringPtr name;
  kj::Duration budget;
};

struct PerfSettings {
  bool enabled = true;
  kj::Array<BudgetSetting> settings;
};

// discovery, session, mux, remote, total.
kj::ArrayPtr<const kj::StringPtr> perfBudgetNames();

class PerfGate {
 public:
  struct Row {
    kj::StringPtr name;
    int exit;
    kj::Duration budget;
    kj::Maybe<kj::Duration> observed;  // null: the profile has no such phase, or it is not over
  };

  PerfGate(const PerfSettings& settings, kj::uint factor);

  // A phase is over. Booting (launch) counts as discovery.
  void phaseOver(Phase phase, kj::Duration took);
  void setTotal(kj::Duration total) { rows.back().observed = total; }

  // The first budget that was exceeded, in the order of the rows.
  kj::Maybe<GateFailure> check() const;

  // Up to the phase itself; zero before it.
  kj::Duration total() const { return rows.back().observed.orDefault(0 * kj::SECONDS); }
  bool enabled() const { return on; }
  kj::ArrayPtr<const Row> table() const { return rows; }

 private:
  bool on;
  kj::Array<Row> rows;
};

}  // namespace nexus::vmtest
