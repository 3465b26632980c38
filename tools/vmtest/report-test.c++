#include "tools/vmtest/report.h"

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus::vmtest {
namespace {

struct Scene {
  Scene() : state(os2vmProfile(), Phase::END, RunState::Limits::markersOnly(), now) {
    facts.runId = kj::str("run-1");
    facts.outDir = kj::str("/out");
    facts.qemu.add(QemuReport{kj::str("11"), kj::str("exit 0")});
    facts.qemu.add(QemuReport{kj::str("12"), kj::str("exit 0")});
    facts.total = 2500 * kj::MILLISECONDS;
  }
  void fail() {
    state.statusLine(0, "kernel 6.1", now + 1 * kj::SECONDS);
    state.statusLine(1, "kernel 6.1", now + 1 * kj::SECONDS);
    state.consoleLine(0, "dsoftbusd: discovery cross-vm up", 42, now + 2 * kj::SECONDS);
    state.advance(now + 100 * kj::SECONDS);
    failure = diagnose(state, KJ_ASSERT_NONNULL(state.failure()), nullptr);
  }
  kj::Maybe<const Diagnosis&> diagnosis() {
    KJ_IF_MAYBE (d, failure) return *d;
    return nullptr;
  }
  kj::TimePoint now = kj::origin<kj::TimePoint>();
  RunState state;
  RunFacts facts;
  kj::Maybe<Diagnosis> failure;
};

// The value at a path of keys, as text; "absent" otherwise. Parsed by the library, so the test also proves that it is
// JSON.
kj::String at(kj::StringPtr json, std::initializer_list<kj::StringPtr> path) {
  capnp::JsonCodec codec;
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::JsonValue>();
  codec.decodeRaw(json.asArray(), root);
  capnp::JsonValue::Reader value = root.asReader();
  for (auto key : path) {
    bool found = false;
    for (auto field : value.getObject()) {
      if (!found && field.getName() == key) value = field.getValue(), found = true;
    }
    if (!found) return kj::str("absent");
  }
  return codec.encodeRaw(value);
}

TEST_CASE("the summary of a failed run has the keys of the contract") {
  Scene scene;
  scene.fail();
  auto json = summaryJson(scene.state, scene.diagnosis(), scene.facts, nullptr);
  CHECK(at(json, {"result"}) == "\"failed\"");
  CHECK(at(json, {"classification", "errorCode"}) == "\"OS2VM_E_DISCOVERY_TIMEOUT\"");
  CHECK(at(json, {"classification", "phase"}) == "\"discovery\"");
  CHECK(at(json, {"classification", "missingMarker"}) == "\"net: dhcp unavailable (fallback static 10.42.0.10/24)\"");
  CHECK(at(json, {"markerLines", "A_discovery"}) == "42");
  CHECK(at(json, {"markerLines", "B_discovery"}) == "0");
  CHECK(at(json, {"performanceBudgetsMs", "session"}) == "5000");
  CHECK(at(json, {"phaseDurationsMs", "launch"}) == "1000");
  CHECK(at(json, {"timing", "totalDurationMs"}) == "2500");
  CHECK(at(json, {"qemu", "exitB"}) == "\"exit 0\"");
  CHECK(at(json, {"guest", "kernelA"}) == "\"6.1\"");
  CHECK(at(json, {"paths", "uartA"}) == "\"/out/uart-A.log\"");
}

TEST_CASE("counters that nobody counted are -1, not zero") {
  Scene scene;
  scene.fail();
  auto json = summaryJson(scene.state, scene.diagnosis(), scene.facts, nullptr);
  CHECK(at(json, {"pcap", "A", "syn"}) == "-1");
  Capture a(macBytes(NODE_MACS[0])), b(macBytes(NODE_MACS[1]));
  const Capture* both[] = {&a, &b};
  scene.facts.captured = true;
  CHECK(at(summaryJson(scene.state, scene.diagnosis(), scene.facts, kj::arrayPtr(both, 2)), {"pcap", "A", "syn"}) ==
        "0");
}

TEST_CASE("a passing summary has no code") {
  Scene scene;
  auto json = summaryJson(scene.state, nullptr, scene.facts, nullptr);
  CHECK(at(json, {"result"}) == "\"success\"");
  CHECK(at(json, {"classification"}) == "{}");
}

bool has(kj::StringPtr text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

TEST_CASE("junit has one failure, on the missing rung, and the rest behind it is skipped") {
  Scene scene;
  scene.fail();
  auto xml = junitXml(scene.state, scene.diagnosis(), scene.facts);
  CHECK(has(xml, "failures=\"1\""));
  CHECK(has(
      xml,
      "name=\"net: dhcp unavailable (fallback static 10.42.0.10/24)\"><failure type=\"OS2VM_E_DISCOVERY_TIMEOUT\""));
  CHECK(has(xml, "name=\"dsoftbusd: discovery cross-vm up\" time=\"2.000\"/>"));
  CHECK(has(xml, "<skipped/>"));
  CHECK(has(xml, "time=\"2.500\""));
}

TEST_CASE("junit escapes what a guest printed") {
  Scene scene;
  scene.state.consoleLine(0, "SELFTEST: x FAIL <a & \"b\">", 1, scene.now);
  scene.failure = diagnose(scene.state, KJ_ASSERT_NONNULL(scene.state.failure()), nullptr);
  auto xml = junitXml(scene.state, scene.diagnosis(), scene.facts);
  CHECK(has(xml, "FAIL &lt;a &amp; &quot;b&quot;&gt;"));
  CHECK(has(xml, "classname=\"os2vm.run\""));
}

TEST_CASE("the one line that ends a run names result, code, phase, node and summary") {
  Scene scene;
  CHECK(summaryLine(nullptr, false, "/s.json") == "[summary] result=success code=- phase=- node=- summary=/s.json");
  CHECK(summaryLine(nullptr, true, "/s.json") == "[summary] result=skipped code=- phase=- node=- summary=/s.json");
  scene.fail();
  CHECK(summaryLine(scene.diagnosis(), false, "/s.json") ==
        "[summary] result=failed code=OS2VM_E_DISCOVERY_TIMEOUT phase=discovery node=A summary=/s.json");
}

}  // namespace
}  // namespace nexus::vmtest
