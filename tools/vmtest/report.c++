#include "tools/vmtest/report.h"

#include "tools/vmtest/json-tree.h"
#include "tools/vmtest/late-report.h"

namespace nexus::vmtest {

namespace {

constexpr kj::StringPtr SCHEMA = "nexus.vmtest/1"_kj;

Json millis(kj::Duration duration) {
  return Json(uint64_t(duration / kj::MILLISECONDS));
}

Json classification(kj::Maybe<const Diagnosis&> failure) {
  Json json;
  KJ_IF_MAYBE (d, failure) {
    json.set("errorCode", d->code).set("exit", d->exit).set("phase", phaseName(d->phase)).set("node", d->node);
    json.set("subsystem", d->subsystem).set("message", d->message).set("missingMarker", d->missingMarker);
    json.set("hint", d->hint).set("confidence", d->confidence).set("packets", d->packets);
  }
  return json;
}

// Budgets are limits of the waits; there is no separate gate, so "enabled" tells that they were in force.
Json budgets(const RunState& state) {
  Json json;
  json.set("enabled", true);
  for (auto& phase : state.profile().phases) json.set(phaseName(phase.phase), millis(state.budget(phase.phase)));
  return json;
}

Json durations(const RunState& state, const RunFacts& facts, bool withBuild) {
  Json json;
  if (withBuild) json.set("build", 0);  // outside the clock
  for (auto& phase : state.profile().phases) {
    KJ_IF_MAYBE (d, state.phaseDuration(phase.phase)) json.set(phaseName(phase.phase), millis(*d));
  }
  if (!withBuild) json.set("total", millis(facts.total));
  return json;
}

Json markers(const RunState& state) {
  auto list = Json::array();
  auto& rungs = state.profile().rungs;
  for (size_t i = 0; i < rungs.size(); i++) {
    auto& rung = rungs[i];
    if (!state.inScope(rung)) continue;
    Json row;
    row.set("node", NODE_NAMES[rung.node]).set("phase", phaseName(rung.phase)).set("marker", rung.text());
    row.set("need", rung.need == Need::REQUIRED ? "required" : rung.need == Need::INFO ? "info" : "forbidden");
    row.set("owner", rung.marker->owner);
    KJ_IF_MAYBE (reached, state.reached(i)) {
      row.set("seen", true)
          .set("atMs", millis(reached->at))
          .set("line", uint64_t(reached->lineNumber))
          .set("text", reached->line);
    } else {
      row.set("seen", false).set("line", 0);
    }
    list.add(kj::mv(row));
  }
  return list;
}

// The keys of the contract: line number of the marker on its node, or 0.
Json markerLines(const RunState& state) {
  struct Row {
    kj::StringPtr key;
    const Marker* marker;
    kj::byte node;
  } rows[] = {
      {"A_discovery"_kj, &marker::BUS_DISCOVERY_UP, 0},
      {"B_discovery"_kj, &marker::BUS_DISCOVERY_UP, 1},
      {"A_session"_kj, &marker::BUS_CROSS_SESSION_B, 0},
      {"B_session"_kj, &marker::BUS_CROSS_SESSION_A, 1},
      {"A_remote_resolve"_kj, &marker::SELFTEST_REMOTE_RESOLVE, 0},
      {"A_remote_query"_kj, &marker::SELFTEST_REMOTE_QUERY, 0},
      {"A_remote_denied"_kj, &marker::SELFTEST_REMOTE_DENIED, 0},
      {"B_denied_service"_kj, &marker::BUS_DENIED_SERVICE, 1},
      {"B_denied_unauthenticated"_kj, &marker::BUS_DENIED_UNAUTHENTICATED, 1},
  };
  Json json;
  auto& rungs = state.profile().rungs;
  for (auto& row : rows) {
    for (size_t i = 0; i < rungs.size(); i++) {
      if (rungs[i].marker != row.marker || rungs[i].node != row.node) continue;
      kj::uint line = 0;
      KJ_IF_MAYBE (reached, state.reached(i)) line = reached->lineNumber;
      json.set(row.key, uint64_t(line));
    }
  }
  return json;
}

Json pcapJson(const RunFacts& facts, kj::ArrayPtr<const Capture* const> captures) {
  Json json;
  json.set("mode", facts.pcapMode).set("path", facts.capturePath).set("exists", facts.capturePath.size() > 0);
  for (size_t node = 0; node < facts.qemu.size(); node++) {
    Json row;
    auto count = [&](uint64_t CaptureCounters::* field) {
      return facts.captured ? Json(captures[node]->counters().*field) : Json(-1);
    };
    row.set("frames", count(&CaptureCounters::frames)).set("sizeBytes", count(&CaptureCounters::bytes));
    row.set("arp", count(&CaptureCounters::arp)).set("udpDiscovery", count(&CaptureCounters::udpDiscovery));
    row.set("tcpSession", count(&CaptureCounters::tcpSession)).set("syn", count(&CaptureCounters::syn));
    row.set("synAck", count(&CaptureCounters::synAck)).set("rst", count(&CaptureCounters::rst));
    row.set("udpDiscoveryIpv6", count(&CaptureCounters::udpDiscoveryIpv6));
    row.set("tcpSessionIpv6", count(&CaptureCounters::tcpSessionIpv6));
    row.set("notKept", facts.captured ? Json(captures[node]->dropped()) : Json(-1));
    json.set(NODE_NAMES[node], kj::mv(row));
  }
  return json;
}

Json pathsJson(const RunState& state, const RunFacts& facts) {
  Json json;
  json.set("runDir", facts.outDir);
  for (kj::byte node = 0; node < state.profile().nodes; node++) {
    auto name = NODE_NAMES[node];
    json.set(kj::str("uart", name), kj::str(facts.outDir, "/uart-", name, ".log"));
    json.set(kj::str("status", name), kj::str(facts.outDir, "/status-", name, ".log"));
    json.set(kj::str("host", name), kj::str(facts.outDir, "/qemu-", name, ".log"));
  }
  if (state.profile().find(Phase::PERF) != nullptr)
    json.set("releaseBundleJson", kj::str(facts.outDir, "/release-evidence.json"));
  json.set("summaryJson", kj::str(facts.outDir, "/summary.json")).set("junitXml", kj::str(facts.outDir, "/junit.xml"));
  return json;
}

kj::String xmlEscape(kj::StringPtr text) {
  kj::Vector<char> out;
  for (char c : text) {
    auto add = [&](kj::StringPtr s) { out.addAll(s); };
    if (c == '<') {
      add("&lt;");
    } else if (c == '>') {
      add("&gt;");
    } else if (c == '&') {
      add("&amp;");
    } else if (c == '"') {
      add("&quot;");
    } else if (c >= 0x20 && c < 0x7f) {
      out.add(c);
    } else {
      out.add(c == '\n' ? ' ' : '?');
    }
  }
  return kj::heapString(out);
}

kj::String seconds(kj::Duration duration) {
  auto ms = duration / kj::MILLISECONDS;
  auto fraction = kj::str(1000 + ms % 1000);
  return kj::str(ms / 1000, '.', fraction.slice(1));
}

// A test case for each thing that was broken; its time is the slower recovery.
void addChaosCases(const RunState& state, kj::Maybe<const Diagnosis&> failure, kj::Vector<kj::String>& cases,
                   kj::uint& skipped, bool& blamed) {
  auto& chaos = state.latePhases().chaos();
  if (state.until() < Phase::CHAOS || state.profile().find(Phase::CHAOS) == nullptr) return;
  for (size_t i = 0; i < chaos.plan().size(); i++) {
    auto& recovery = chaos.recovery(i);
    auto head = kj::str("  <testcase classname=\"", state.profile().name, ".chaos.recovery\" name=\"",
                        xmlEscape(chaos.plan()[i].text()), '"');
    if (recovery.over) {
      auto ms = kj::max(recovery.callMs.orDefault(0), recovery.streamMs.orDefault(0));
      cases.add(kj::str(head, " time=\"", seconds(ms * kj::MILLISECONDS), "\"/>\n"));
      continue;
    }
    KJ_IF_MAYBE (d, failure) {
      if (recovery.begun && !blamed && d->phase == Phase::CHAOS && d->missingMarker.size() == 0) {
        blamed = true;
        cases.add(kj::str(head, "><failure type=\"", d->code, "\" message=\"", xmlEscape(d->message), "\">",
                          xmlEscape(d->packets), "</failure></testcase>\n"));
        continue;
      }
    }
    skipped++;
    cases.add(kj::str(head, "><skipped/></testcase>\n"));
  }
}

}  // namespace

kj::String summaryJson(const RunState& state, kj::Maybe<const Diagnosis&> failure, const RunFacts& facts,
                       kj::ArrayPtr<const Capture* const> captures) {
  Json json;
  json.set("schema", SCHEMA).set("profile", state.profile().name).set("runId", facts.runId);
  json.set("result", failure == nullptr ? "success" : "failed").set("phaseTarget", phaseName(state.until()));
  json.set("classification", classification(failure));
  Json timing;
  timing.set("factor", uint64_t(facts.factor)).set("totalDurationMs", millis(facts.total));
  json.set("timing", kj::mv(timing));
  json.set("waitBudgetsMs", budgets(state));
  if (state.profile().find(Phase::PERF) != nullptr) {
    json.set("performanceBudgetsMs", perfBudgetsJson(state));
    json.set("performanceObservedMs", perfObservedJson(state, facts.total));
    json.set("soakGate", soakGateJson(state)).set("chaosGate", chaosJson(state));
  } else {
    json.set("performanceBudgetsMs", budgets(state)).set("performanceObservedMs", durations(state, facts, false));
  }
  json.set("paths", pathsJson(state, facts)).set("phaseDurationsMs", durations(state, facts, true));
  json.set("markerLines", markerLines(state)).set("markers", markers(state));
  Json qemu;
  qemu.set("version", facts.qemuVersion).set("accel", facts.accel).set("accelReason", facts.accelReason);
  for (size_t node = 0; node < facts.qemu.size(); node++) {
    qemu.set(kj::str("pid", NODE_NAMES[node]), facts.qemu[node].pid)
        .set(kj::str("exit", NODE_NAMES[node]), facts.qemu[node].exit);
  }
  json.set("qemu", kj::mv(qemu));
  Json guest;
  guest.set("kernelPackage", facts.kernelVersion);
  for (kj::byte node = 0; node < state.profile().nodes; node++) {
    guest.set(kj::str("kernel", NODE_NAMES[node]), state.kernelRelease(node).orDefault("not reported"_kj));
    kj::String exit = kj::str("not reported");
    auto code = state.exitReport(node);
    KJ_IF_MAYBE (c, code) exit = kj::str(*c);
    guest.set(kj::str("exit", NODE_NAMES[node]), exit);
    auto events = Json::array();
    for (auto& event : state.serviceEvents(node)) events.add(event);
    guest.set(kj::str("services", NODE_NAMES[node]), kj::mv(events));
  }
  json.set("guest", kj::mv(guest));
  json.set("pcap", pcapJson(facts, captures));
  auto warnings = Json::array();
  for (auto& warning : state.warnings()) warnings.add(warning);
  json.set("warnings", kj::mv(warnings));
  return json.text();
}

kj::String junitXml(const RunState& state, kj::Maybe<const Diagnosis&> failure, const RunFacts& facts) {
  kj::Vector<kj::String> cases;
  kj::uint skipped = 0;
  bool blamed = false;
  auto& rungs = state.profile().rungs;
  for (size_t i = 0; i < rungs.size(); i++) {
    auto& rung = rungs[i];
    if (rung.need != Need::REQUIRED || !state.inScope(rung)) continue;
    auto head = kj::str("  <testcase classname=\"", state.profile().name, '.', phaseName(rung.phase), ".node",
                        NODE_NAMES[rung.node], "\" name=\"", xmlEscape(rung.text()), '"');
    KJ_IF_MAYBE (reached, state.reached(i)) {
      cases.add(kj::str(head, " time=\"", seconds(reached->at), "\"/>\n"));
      continue;
    }
    KJ_IF_MAYBE (d, failure) {
      if (!blamed && d->missingMarker == rung.text() && d->node == NODE_NAMES[rung.node]) {
        blamed = true;
        cases.add(kj::str(head, "><failure type=\"", d->code, "\" message=\"", xmlEscape(d->message), "\">",
                          xmlEscape(d->packets), "</failure></testcase>\n"));
        continue;
      }
    }
    skipped++;
    cases.add(kj::str(head, "><skipped/></testcase>\n"));
  }
  addChaosCases(state, failure, cases, skipped, blamed);
  KJ_IF_MAYBE (d, failure) {
    if (!blamed) {
      cases.add(kj::str("  <testcase classname=\"", state.profile().name, ".run\" name=\"",
                        xmlEscape(phaseName(d->phase)), "\"><failure type=\"", d->code, "\" message=\"",
                        xmlEscape(d->message), "\">", xmlEscape(d->packets), "</failure></testcase>\n"));
    }
  }
  return kj::str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"", state.profile().name, "\" tests=\"",
                 cases.size(), "\" failures=\"", failure == nullptr ? 0 : 1, "\" skipped=\"", skipped, "\" time=\"",
                 seconds(facts.total), "\">\n", kj::strArray(cases, ""), "</testsuite>\n");
}

kj::String summaryLine(kj::Maybe<const Diagnosis&> failure, bool skipped, kj::StringPtr summaryPath) {
  KJ_IF_MAYBE (d, failure) {
    return kj::str("[summary] result=failed code=", d->code, " phase=", phaseName(d->phase), " node=", d->node,
                   " summary=", summaryPath);
  }
  return kj::str("[summary] result=", skipped ? "skipped" : "success", " code=- phase=- node=- summary=", summaryPath);
}

kj::String preflightSummaryJson(const Profile& profile, kj::Maybe<const Diagnosis&> failure, kj::StringPtr outDir) {
  Json json;
  json.set("schema", SCHEMA)
      .set("profile", profile.name)
      .set("result", failure == nullptr ? "success" : "failed")
      .set("phaseTarget", phaseName(Phase::BUILD))
      .set("classification", classification(failure));
  Json paths;
  paths.set("runDir", outDir);
  json.set("paths", kj::mv(paths));
  return json.text();
}

}  // namespace nexus::vmtest
