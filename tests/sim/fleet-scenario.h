#pragma once
// One life of a fleet, decided by its seed: machines that start, crash, stand still and lose their way in bad weather,
// with hostile neighbours, while their programs call and stream; then everything is healed, and all of them must meet,
// and every call and stream must end as the rights say. Everything is checked all the time. Owned by nobody: a
// function.
#include "tests/sim/fleet.h"

namespace nexus {

struct ScenarioOptions {
  uint64_t seed = 1;
  kj::uint machines = 5;
  bool hostile = true;
  kj::uint troubles = 18;  // how many things happen
  kj::Maybe<bool> busy{};  // programs that ask more than an audit ring keeps; null: the seed decides
  kj::Maybe<FleetTrace::Print> print{};
};

struct ScenarioResult {
  kj::Array<kj::String> violations;  // none when all is well
  uint64_t traceHash, events, steps;
  kj::Duration lived, met;  // virtual time: the whole life; from the end of the faults until all had met
  CallLedger::Counters calls;
  StreamLedger::Counters streams;
  FleetWire::Counters wire;
  uint64_t auditDropped = 0;  // records, of daemons that lived to the end
};

ScenarioResult runScenario(ScenarioOptions options);

}  // namespace nexus
