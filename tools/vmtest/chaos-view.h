#pragma once
// The recovery times as lines for a person. Pure; a part of ladder-view.
#include <kj/vector.h>

#include "tools/vmtest/chaos-run.h"

namespace nexus::vmtest {

// "kill netstackd on A        back 0.1 s   calls 2.3 s   streams 2.4 s   budget 20.0 s", as far as it is known; with a
// star when it took longer than the budget and was allowed to.
kj::String recoveryLine(const ChaosRun& chaos, size_t event);
// One line for each event that has begun, with a heading; empty when none has.
kj::Vector<kj::String> recoveryTable(const ChaosRun& chaos);

}  // namespace nexus::vmtest
