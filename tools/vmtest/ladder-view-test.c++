#include "tools/vmtest/ladder-view.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "tools/vmtest/testing-chaos.h"

namespace nexus::vmtest {
namespace {

constexpr auto MS = kj::MILLISECONDS;

bool has(const kj::Vector<kj::String>& lines, kj::StringPtr part) {
  for (auto& line : lines) {
    for (size_t i = 0; i + part.size() <= line.size(); i++) {
      if (line.slice(i).startsWith(part)) return true;
    }
  }
  return false;
}

struct Scene {
  explicit Scene(const Profile& profile)
      : state(profile, profile.phases.back().phase, RunState::Limits::markersOnly(), start) {}
  kj::TimePoint start = kj::origin<kj::TimePoint>(), now = start;
  RunState state;
};

TEST_CASE("the marker that is waited for shows its wait, its budget and its owner") {
  Scene scene(qemuTestProfile());
  scene.state.statusLine(0, "kernel 6.1.0", scene.start + 900 * MS);
  scene.state.consoleLine(0, "net: virtio-net up (mtu=1500)", 1, scene.start + 1500 * MS);
  auto lines = ladderLines(scene.state, scene.start + 2000 * MS, ViewStyle{120, false});
  CHECK(has(lines, "  network   ok     +1.5 s  net: virtio-net up (mtu=1500)"));
  CHECK(has(lines, "..             net: dhcp bound  1.1 s of 10.0 s  (owner netstackd/dhcp)"));
  CHECK(!has(lines, "netstackd: facade up"));
}

TEST_CASE("no line is longer than the terminal is wide, with one node and with two") {
  for (auto* profile : {&qemuTestProfile(), &os2vmProfile()}) {
    for (kj::uint width : {60u, 80u, 100u, 200u}) {
      Scene scene(*profile);
      scene.state.consoleLine(0, kj::str("net: virtio-net up (", kj::repeat('x', 300), ")"), 1,
                              scene.start + 1500 * MS);
      for (auto& line : ladderLines(scene.state, scene.start + 2000 * MS, ViewStyle{width, false}))
        CHECK(line.size() <= width);
    }
  }
}

TEST_CASE("colour is only there when it was asked for") {
  Scene scene(os2vmProfile());
  scene.state.statusLine(0, "kernel 6.1.0", scene.start + 900 * MS);
  CHECK(has(ladderLines(scene.state, scene.start, ViewStyle{100, true}), "\x1b[32mok"));
  CHECK(!has(ladderLines(scene.state, scene.start, ViewStyle{100, false}), "\x1b"));
}

TEST_CASE("two nodes stand side by side and the blamed marker says FAIL") {
  Scene scene(os2vmProfile());
  scene.state.statusLine(0, "kernel 6.1.0", scene.start + 900 * MS);
  scene.state.statusLine(1, "kernel 6.1.0", scene.start + 1000 * MS);
  scene.state.nodeExited(1, "exit 1", scene.start + 2000 * MS);
  auto lines = ladderLines(scene.state, scene.start + 2000 * MS, ViewStyle{120, false});
  CHECK(has(lines, "node A"));
  CHECK(has(lines, "+0.9 s  initd reports its kernel"));
  CHECK(has(lines, "+1.0 s  initd reports its kernel"));
  CHECK(has(lines, "FAIL"));
}

TEST_CASE("on a low terminal phases that are over or to come shrink to one line, the current one does not") {
  Scene scene(qemuTestProfile());
  scene.state.statusLine(0, "kernel 6.1.0", scene.start + 900 * MS);
  size_t full = ladderLines(scene.state, scene.start, ViewStyle{100, false}).size();
  auto low = ladderLines(scene.state, scene.start + 1000 * MS, ViewStyle{100, false, 16});
  CHECK(full > 20);
  CHECK(low.size() <= 16);
  CHECK(has(low, "  bus            12 markers to come"));
  CHECK(has(low, "net: virtio-net up  0.1 s of 10.0 s"));
}

TEST_CASE("plain lines come once each, in the order of time, with the end of each phase") {
  Scene scene(os2vmProfile());
  PlainView view(scene.state);
  CHECK(view.news(scene.start).size() == 0);
  scene.state.statusLine(1, "kernel 6.1.0", scene.start + 900 * MS);
  scene.state.statusLine(0, "kernel 6.1.0", scene.start + 1000 * MS);
  auto lines = view.news(scene.start + 1000 * MS);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == "[+0.9 s] B ok   initd reports its kernel: 6.1.0");
  CHECK(lines[1] == "[+1.0 s] A ok   initd reports its kernel: 6.1.0");
  CHECK(lines[2] == "phase launch done in 1.0 s");
  CHECK(view.news(scene.start + 1001 * MS).size() == 0);
}

TEST_CASE("in the chaos phase the table grows in place, with what is waited for, and no line is too long") {
  ChaosScene scene(ChaosMode::LONG);
  scene.recover(0, 1884, 1709);
  scene.kill(1);
  for (kj::uint width : {60u, 79u, 119u}) {
    for (bool color : {false, true}) {
      for (auto& line : ladderLines(scene.state, scene.now, ViewStyle{width, color, 22})) {
        size_t shown = 0;
        for (size_t i = 0; i < line.size(); i++) {
          if (line[i] == '\x1b') {
            while (line[i] != 'm') i++;
          } else {
            shown++;
          }
        }
        CAPTURE(line.cStr());
        CHECK(shown <= width);
      }
    }
  }
  auto lines = ladderLines(scene.state, scene.now, ViewStyle{79, false, 22});
  CHECK(lines.size() <= 22);
  CHECK(has(lines, "  chaos          recovery after             back    calls  streams   budget"));
  CHECK(has(lines, "ok   kill virtionetd on A     0.02 s   1.88 s   1.70 s   3.00 s"));
  CHECK(has(lines, "..   kill netstackd on A           -        -        -   5.00 s"));
  CHECK(has(lines, "..   kill netstackd on A: waits for its start"));
}

TEST_CASE("at the end of the chaos phase all of it fits a terminal of 24 rows") {
  ChaosScene scene(ChaosMode::KILLS);
  size_t events = scene.chaos().plan().size();
  for (size_t i = 0; i + 1 < events; i++) scene.recover(i, 100, 100);
  scene.kill(events - 1);
  auto lines = ladderLines(scene.state, scene.now, ViewStyle{79, false, 22});
  CHECK(lines.size() == 22);
  CHECK(has(lines, "recovery after"));
  CHECK(!has(lines, "kill virtionetd on A "));
  CHECK(has(lines, "ok   kill statefsd on B"));
  CHECK(has(lines, "..   kill dsoftbusd on B"));
  CHECK(has(lines, " recoveries, all within their budgets"));
  CHECK(has(ladderLines(scene.state, scene.now, ViewStyle{119, false, 38}), "ok   kill virtionetd on A "));
}

TEST_CASE("plain lines tell each recovery once, when it is over") {
  ChaosScene scene;
  PlainView view(scene.state);
  view.news(scene.now);
  scene.kill(0);
  CHECK(!has(view.news(scene.now), "kill virtionetd on A"));
  scene.status(0, "service virtionetd start");
  scene.both("chaos 0 call 10");
  scene.both("chaos 0 stream 20");
  scene.pass(1 * MS);
  auto lines = view.news(scene.now);
  REQUIRE(lines.size() == 1);
  CHECK(has(lines, " s]   kill virtionetd on A     0.00 s   0.01 s   0.02 s   3.00 s"));
  CHECK(view.news(scene.now).size() == 0);
  scene.recover(1, 10, 20);
  CHECK(has(view.news(scene.now), "kill netstackd on A"));
}

TEST_CASE("after five quiet seconds a plain line tells what is waited for, and not more often") {
  Scene scene(qemuTestProfile());
  PlainView view(scene.state);
  view.news(scene.start);
  CHECK(view.news(scene.start + 4999 * MS).size() == 0);
  auto lines = view.news(scene.start + 5000 * MS);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == "[+5.0 s]   waiting for \"initd reports its kernel\" on A, 5.0 s of 10.0 s (owner initd)");
  CHECK(view.news(scene.start + 5001 * MS).size() == 0);
}

}  // namespace
}  // namespace nexus::vmtest
