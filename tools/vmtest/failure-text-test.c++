#include "tools/vmtest/failure-text.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "tools/vmtest/testing-chaos.h"

namespace nexus::vmtest {
namespace {

struct Scene {
  Scene() : state(os2vmProfile(), Phase::END, RunState::Limits::markersOnly(), start) {
    facts.outDir = kj::str("/out");
    facts.capturePath = kj::str("/out/capture.pcapng");
    state.statusLine(0, "kernel 6.1", start + 1 * kj::SECONDS);
    state.statusLine(1, "kernel 6.1", start + 1 * kj::SECONDS);
  }
  kj::Vector<kj::String> text() {
    auto& failure = KJ_ASSERT_NONNULL(state.failure());
    auto diagnosis = diagnose(state, failure, nullptr);
    LogTail tails[2];
    for (auto& tail : tails) {
      tail.firstNumber = 5;
      for (int i = 0; i < 10; i++) tail.lines.add(kj::str("line ", 5 + i));
    }
    return failureText(state, failure, diagnosis, facts, tails);
  }
  kj::TimePoint start = kj::origin<kj::TimePoint>();
  RunState state;
  RunFacts facts;
};

bool has(kj::ArrayPtr<const kj::String> lines, kj::StringPtr line) {
  for (auto& l : lines) {
    if (l == line) return true;
  }
  return false;
}

TEST_CASE("a failure tells what is missing, how far each node got, whose job it is, and what to run") {
  Scene scene;
  scene.state.consoleLine(1, "dsoftbusd: discovery cross-vm up", 3, scene.start + 2 * kj::SECONDS);
  scene.state.advance(scene.start + 50 * kj::SECONDS);
  auto text = scene.text();
  CHECK(text[0] == "FAIL  discovery  OS2VM_E_DISCOVERY_TIMEOUT (exit 31)  after 50.0 s");
  CHECK(has(text, "  missing   node A: \"net: dhcp unavailable (fallback static 10.42.0.10/24)\""));
  CHECK(has(text, "  last seen node A: \"initd reports its kernel\""));
  CHECK(has(text, "            node B: \"dsoftbusd: discovery cross-vm up\""));
  CHECK(has(text, "  next      tshark -r /out/capture.pcapng -Y 'arp or udp.port == 37020'"));
  CHECK(has(text, "            less /out/uart-A.log"));
}

TEST_CASE("a guest that never started sends the reader to QEMU's log, not to the packets") {
  Scene scene;
  RunState state(os2vmProfile(), Phase::END, RunState::Limits::markersOnly(), scene.start);
  state.nodeExited(1, "exit 1", scene.start);
  scene.facts.accel = kj::str("kvm");
  auto& failure = KJ_ASSERT_NONNULL(state.failure());
  auto text = failureText(state, failure, diagnose(state, failure, nullptr), scene.facts, nullptr);
  CHECK(has(text, "  next      less /out/qemu-B.log"));
  CHECK(has(text, "            the same command with --accel tcg: KVM may not boot this kernel"));
  CHECK(has(text, "            less /out/uart-B.log"));
  for (auto& line : text) CHECK(!line.startsWith("  next      tshark"));
}

TEST_CASE("the tail is that of the blamed node, its last eight lines, with the number of the first") {
  Scene scene;
  scene.state.statusLine(1, "service netstackd exit signal 11", scene.start + 2 * kj::SECONDS);
  auto text = scene.text();
  CHECK(has(text, "  services  node B: netstackd ended: signal 11"));
  CHECK(has(text, "            less /out/status-B.log"));
  CHECK(has(text, "  tail      node B, uart-B.log from line 7"));
  CHECK(text.back() == "    | line 14");
  CHECK(!has(text, "    | line 6"));
  CHECK(!has(text, "  tail      node A, uart-A.log from line 7"));
}

TEST_CASE("what daemons warned of is told, the newest four of each node") {
  Scene scene;
  for (int i = 1; i <= 5; i++)
    scene.state.consoleLine(1, kj::str("level=warning daemon=x msg=", i), kj::uint(i), scene.start);
  scene.state.consoleLine(0, "level=info daemon=x msg=0", 1, scene.start);
  scene.state.interrupted(scene.start + 2 * kj::SECONDS);
  auto text = scene.text();
  CHECK(!has(text, "  logged    node B: level=warning daemon=x msg=1"));
  for (int i = 2; i <= 5; i++) CHECK(has(text, kj::str("  logged    node B: level=warning daemon=x msg=", i)));
  CHECK(!has(text, "  logged    node A: level=info daemon=x msg=0"));
}

TEST_CASE("a pass tells markers, time, the exit channel and the packets, and every warning") {
  Scene scene;
  scene.facts.total = 2900 * kj::MILLISECONDS;
  scene.state.warn(kj::str("something odd"));
  auto text = passText(scene.state, scene.facts, nullptr);
  CHECK(text[0] == kj::str("PASS  2/", scene.state.requiredCount(), " markers  2.9 s  exit channel - -"));
  CHECK(has(text, "      warning: something odd"));
  CHECK(text.back() == "      logs /out");
}

TEST_CASE("durations and recoveries of a whole run stay within 80 columns") {
  ChaosScene scene;
  scene.recover(0, 1000, 1000);
  RunFacts facts;
  facts.outDir = kj::str("/out");
  auto text = passText(scene.state, facts, nullptr);
  bool folded = false;
  for (size_t i = 1; i < text.size(); i++) {
    CHECK(text[i].size() < 80);
    folded |= text[i].endsWith(" s,");
  }
  CHECK(folded);
  CHECK(has(text, "      recovery after             back    calls  streams   budget"));
}

}  // namespace
}  // namespace nexus::vmtest
