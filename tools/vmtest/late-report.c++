#include "tools/vmtest/late-report.h"

namespace nexus::vmtest {

namespace {

Json millis(kj::Duration duration) {
  return Json(uint64_t(duration / kj::MILLISECONDS));
}

bool phaseOver(const RunState& state, Phase phase) {
  return state.phaseDuration(phase) != nullptr && (state.failure() == nullptr || state.phase() != phase);
}

// Line of the marker on that node, 0: not there.
uint64_t lineOf(const RunState& state, const Marker& marker, kj::byte node) {
  auto& rungs = state.profile().rungs;
  for (size_t i = 0; i < rungs.size(); i++) {
    if (rungs[i].marker != &marker || rungs[i].node != node) continue;
    KJ_IF_MAYBE (reached, state.reached(i)) return reached->lineNumber;
  }
  return 0;
}

}  // namespace

Json perfBudgetsJson(const RunState& state) {
  auto& gate = state.latePhases().perf();
  Json json;
  json.set("enabled", gate.enabled());
  for (auto& row : gate.table()) json.set(row.name, millis(row.budget));
  return json;
}

Json perfObservedJson(const RunState& state, kj::Duration total) {
  Json json;
  for (auto& row : state.latePhases().perf().table()) {
    if (row.name == "total") continue;
    KJ_IF_MAYBE (observed, row.observed) json.set(row.name, millis(*observed));
  }
  json.set("total", millis(total));
  return json;
}

Json soakGateJson(const RunState& state) {
  auto& soak = state.latePhases().soak();
  Json json, observed;
  json.set("enabled", soak.plan().enabled());
  json.set("durationSecs", uint64_t(soak.plan().duration / kj::SECONDS)).set("rounds", uint64_t(soak.plan().rounds));
  observed.set("durationSecs", uint64_t(soak.lasted() / kj::SECONDS));
  observed.set("roundsTarget", uint64_t(soak.plan().rounds)).set("roundsCompleted", uint64_t(soak.roundsCompleted()));
  observed.set("checks", uint64_t(soak.checks()));
  for (kj::byte node = 0; node < 2; node++) {
    kj::StringPtr name = node == 0 ? "a"_kj : "b"_kj;
    auto& hits = soak.hits(node);
    observed.set(kj::str(name, "MuxFailHits"), uint64_t(hits.muxFail));
    observed.set(kj::str(name, "RemoteFailHits"), uint64_t(hits.remoteFail));
    observed.set(kj::str(name, "PanicHits"), uint64_t(hits.panic));
    auto counts = soak.counts(node);
    KJ_IF_MAYBE (c, counts) {
      observed.set(kj::str(name, "Calls"), c->calls).set(kj::str(name, "FailedCalls"), c->failed);
      observed.set(kj::str(name, "StreamBytes"), c->streamed).set(kj::str(name, "StreamBreaks"), c->breaks);
    }
  }
  json.set("observed", kj::mv(observed));
  return json;
}

Json chaosJson(const RunState& state) {
  auto& chaos = state.latePhases().chaos();
  Json json;
  json.set("enabled", chaos.plan().size() > 0);
  json.set("planned", uint64_t(chaos.plan().size())).set("recovered", uint64_t(chaos.overCount()));
  auto list = Json::array();
  for (size_t i = 0; i < chaos.plan().size(); i++) {
    auto& event = chaos.plan()[i];
    auto& recovery = chaos.recovery(i);
    bool kill = event.kind == ChaosEvent::Kind::KILL;
    Json row;
    row.set("what", event.text()).set("kind", kill ? "kill" : "cut");
    if (kill) row.set("node", NODE_NAMES[event.node]).set("service", event.service);
    if (!kill) row.set("cutMs", millis(event.cut));
    row.set("recovered", recovery.over).set("budgetMs", millis(chaos.budget(i)));
    KJ_IF_MAYBE (back, recovery.back) row.set("serviceBackMs", millis(*back));
    KJ_IF_MAYBE (ms, recovery.callMs) row.set("callMs", uint64_t(*ms));
    KJ_IF_MAYBE (ms, recovery.streamMs) row.set("streamMs", uint64_t(*ms));
    list.add(kj::mv(row));
  }
  json.set("events", kj::mv(list));
  return json;
}

kj::String releaseEvidenceJson(const RunState& state, bool passed, kj::StringPtr runId, uint64_t epochMs,
                               kj::ArrayPtr<const kj::String> commands, kj::StringPtr folder) {
  Json json, gates, mux, perf, soak, chaos;
  json.set("runId", runId).set("generatedAtEpochMs", epochMs).set("result", passed ? "success" : "failed");
  auto list = Json::array();
  for (auto& command : commands) list.add(command);
  json.set("commands", kj::mv(list));
  mux.set("passed", phaseOver(state, Phase::MUX));
  mux.set("aBackpressureLine", lineOf(state, marker::SELFTEST_MUX_CROSSVM_BACKPRESSURE, 0));
  mux.set("bBackpressureLine", lineOf(state, marker::SELFTEST_MUX_CROSSVM_BACKPRESSURE, 1));
  perf.set("enabled", state.latePhases().perf().enabled()).set("passed", phaseOver(state, Phase::PERF));
  perf.set("observedMs", perfObservedJson(state, state.latePhases().perf().total()));
  soak.set("passed", phaseOver(state, Phase::SOAK)).set("gate", soakGateJson(state));
  chaos.set("passed", phaseOver(state, Phase::CHAOS)).set("gate", chaosJson(state));
  gates.set("muxLadder", kj::mv(mux)).set("perf", kj::mv(perf)).set("soak", kj::mv(soak)).set("chaos", kj::mv(chaos));
  json.set("gates", kj::mv(gates));
  auto artifacts = Json::array();
  for (auto name : {"summary.json"_kj, "junit.xml"_kj, "uart-A.log"_kj, "uart-B.log"_kj, "status-A.log"_kj,
                    "status-B.log"_kj, "qemu-A.log"_kj, "qemu-B.log"_kj})
    artifacts.add(kj::str(folder, '/', name));
  json.set("artifacts", kj::mv(artifacts));
  return json.text();
}

}  // namespace nexus::vmtest
