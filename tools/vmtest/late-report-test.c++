#include "tools/vmtest/late-report.h"

#include <doctest/doctest.h>

#include "tools/vmtest/testing-chaos.h"

namespace nexus::vmtest {
namespace {

bool has(kj::StringPtr text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

// Two nodes that soaked and reported the same counts on both channels.
void soak(ChaosScene& scene) {
  constexpr kj::StringPtr COUNTS = "calls 100 failed 0 bytes 4096 breaks 0"_kj;
  scene.pass(1 * kj::MILLISECONDS);
  scene.both("traffic 10 0 4096 0");
  scene.pass(1 * kj::MILLISECONDS);
  scene.both("traffic 20 0 8192 0");
  scene.pass(1 * kj::SECONDS);
  for (kj::byte node : {0, 1}) {
    scene.state.consoleLine(node, kj::str("SELFTEST: soak traffic ok (", COUNTS, ')'), 90u + node, scene.now);
    scene.status(node, kj::str("step soak-traffic ok ", COUNTS));
  }
  scene.pass(1 * kj::MILLISECONDS);
}

TEST_CASE("the soak's gate tells what was asked for, what was seen and the counts of both nodes") {
  ChaosScene scene(ChaosMode::OFF, {1 * kj::SECONDS, 1});
  soak(scene);
  auto text = soakGateJson(scene.state).text();
  CHECK(has(text, "\"enabled\": true"));
  CHECK(has(text, "\"roundsCompleted\": 1"));
  CHECK(has(text, "\"checks\": 1"));
  for (auto part : {"\"aCalls\": 100"_kj, "\"aFailedCalls\": 0"_kj, "\"aStreamBytes\": 4096"_kj, "\"bCalls\": 100"_kj,
                    "\"bStreamBreaks\": 0"_kj, "\"aPanicHits\": 0"_kj})
    CHECK(has(text, part));
}

TEST_CASE("before the counts are known there are none") {
  ChaosScene scene(ChaosMode::OFF, {1 * kj::SECONDS, 1});
  auto text = soakGateJson(scene.state).text();
  CHECK(has(text, "\"roundsCompleted\": 0"));
  CHECK(!has(text, "Calls"));
}

TEST_CASE("the chaos gate lists every planned event, with times as far as they are known") {
  ChaosScene scene(ChaosMode::SHORT);
  scene.recover(0, 1234, 56);
  scene.kill(1);
  auto text = chaosJson(scene.state).text();
  CHECK(has(text, "\"planned\": 15"));
  CHECK(has(text, "\"recovered\": 1"));
  CHECK(has(text, "\"what\": \"kill virtionetd on A\""));
  CHECK(has(text, "\"serviceBackMs\": 20"));
  CHECK(has(text, "\"callMs\": 1234"));
  CHECK(has(text, "\"streamMs\": 56"));
  CHECK(has(text, "\"cutMs\": 2000"));
  CHECK(has(text, "\"recovered\": false"));
}

TEST_CASE("the evidence says of every gate whether it passed") {
  ChaosScene scene(ChaosMode::KILLS, {1 * kj::SECONDS, 1});
  soak(scene);
  kj::String commands[] = {kj::str("qemu a")};
  auto text = releaseEvidenceJson(scene.state, false, "run-7", 17, commands, "/out");
  CHECK(has(text, "\"runId\": \"run-7\""));
  CHECK(has(text, "\"result\": \"failed\""));
  CHECK(has(text, "\"commands\": [\"qemu a\"]"));
  CHECK(has(text, "\"/out/uart-B.log\""));
  auto passed = [&](kj::StringPtr gate) {
    for (size_t i = 0; i < text.size(); i++) {
      if (!text.slice(i).startsWith(kj::str("\"", gate, "\": {"))) continue;
      auto rest = text.slice(i);
      for (size_t j = 0; j < rest.size(); j++) {
        if (rest.slice(j).startsWith("\"passed\": ")) return rest.slice(j + 10).startsWith("true");
      }
    }
    return false;
  };
  CHECK(passed("muxLadder"));
  CHECK(passed("perf"));
  CHECK(passed("soak"));
  CHECK_FALSE(passed("chaos"));
  CHECK(!has(text, "\"aBackpressureLine\": 0"));
}

TEST_CASE("budgets and what was seen against them stand side by side") {
  ChaosScene scene;
  CHECK(has(perfBudgetsJson(scene.state).text(), "\"enabled\": false"));
  CHECK(has(perfBudgetsJson(scene.state).text(), "\"session\": 5000"));
  auto observed = perfObservedJson(scene.state, 4321 * kj::MILLISECONDS).text();
  CHECK(has(observed, "\"total\": 4321"));
  CHECK(has(observed, "\"mux\": "));
}

}  // namespace
}  // namespace nexus::vmtest
