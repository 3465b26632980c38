#include "tools/vmtest/perf-gate.h"

namespace nexus::vmtest {

namespace {

struct Default {
  kj::StringPtr name;
  int exit;
  kj::Duration budget;  // with hardware virtualisation
};

constexpr Default DEFAULTS[] = {{"discovery"_kj, 81, 15 * kj::SECONDS},
                                {"session"_kj, 82, 5 * kj::SECONDS},
                                {"mux"_kj, 83, 5 * kj::SECONDS},
                                {"remote"_kj, 84, 60 * kj::SECONDS},
                                {"total"_kj, 85, 120 * kj::SECONDS}};
constexpr kj::StringPtr NAMES[] = {DEFAULTS[0].name, DEFAULTS[1].name, DEFAULTS[2].name, DEFAULTS[3].name,
                                   DEFAULTS[4].name};

}  // namespace

kj::ArrayPtr<const kj::StringPtr> perfBudgetNames() {
  return kj::arrayPtr(NAMES, kj::size(NAMES));
}

PerfGate::PerfGate(const PerfSettings& settings, kj::uint factor)
    : on(settings.enabled),
      rows(KJ_MAP(d, DEFAULTS)->Row { return {d.name, d.exit, d.budget * int64_t(factor), nullptr}; }) {
  for (auto& setting : settings.settings) {
    for (auto& row : rows) {
      if (row.name == setting.name) row.budget = setting.budget;
    }
  }
}

void PerfGate::phaseOver(Phase phase, kj::Duration took) {
  auto name = phase == Phase::LAUNCH ? phaseName(Phase::DISCOVERY) : phaseName(phase);
  for (auto& row : rows) {
    if (row.name == name) row.observed = row.observed.orDefault(0 * kj::SECONDS) + took;
  }
}

kj::Maybe<GateFailure> PerfGate::check() const {
  if (!on) return nullptr;
  for (auto& row : rows) {
    KJ_IF_MAYBE (observed, row.observed) {
      if (*observed <= row.budget) continue;
      return GateFailure{
          row.exit, 0,
          kj::str(row.name == "total" ? "the run up to here" : row.name, " took ", *observed / kj::MILLISECONDS,
                  " ms, its budget is ", row.budget / kj::MILLISECONDS, " ms")};
    }
  }
  return nullptr;
}

}  // namespace nexus::vmtest
