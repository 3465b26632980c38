#pragma once
// What the phases perf, soak and chaos have to show, as JSON and as lines for a person. Pure; parts of report,
// ladder-view and failure-text.
#include "tools/vmtest/json-tree.h"
#include "tools/vmtest/run-state.h"

namespace nexus::vmtest {

Json perfBudgetsJson(const RunState& state);
Json perfObservedJson(const RunState& state, kj::Duration total);
Json soakGateJson(const RunState& state);
Json chaosJson(const RunState& state);

// Gates and what they saw: release-evidence.json.
kj::String releaseEvidenceJson(const RunState& state, bool passed, kj::StringPtr runId, uint64_t epochMs,
                               kj::ArrayPtr<const kj::String> commands, kj::StringPtr folder);

}  // namespace nexus::vmtest
