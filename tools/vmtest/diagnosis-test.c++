#include "tools/vmtest/diagnosis.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "tools/vmtest/testing-frames.h"

namespace nexus::vmtest {
namespace {

constexpr auto SEC = kj::SECONDS;
constexpr uint32_t IP_A = 0x0a2a000a, IP_B = 0x0a2a000b;

struct Scene {
  explicit Scene(const Profile& profile = os2vmProfile())
      : state(profile, profile.phases.back().phase, RunState::Limits::markersOnly(), now) {}

  void kernels() {
    for (kj::byte node = 0; node < state.profile().nodes; node++) state.statusLine(node, "kernel 6.1", now);
  }
  // Every required rung of the phases before `phase`.
  void upTo(Phase phase) {
    kernels();
    for (auto& rung : state.profile().rungs) {
      if (rung.need == Need::REQUIRED && rung.phase < phase && rung.source == Source::CONSOLE)
        state.consoleLine(rung.node, rung.text(), 1, now);
    }
    REQUIRE(state.phase() == phase);
  }
  void timeOut() { state.advance(now + 1000 * SEC); }
  Diagnosis diagnosis(bool captured = false) {
    const Capture* both[] = {&a, &b};
    return diagnose(state, KJ_ASSERT_NONNULL(state.failure()), captured ? kj::arrayPtr(both, 2) : nullptr);
  }
  // A frame that node `from` sends and, unless lost, the other one gets.
  void frame(kj::byte from, kj::ArrayPtr<const kj::byte> bytes, bool lost = false) {
    stamp += 10;
    (from == 0 ? a : b).add(stamp, stamp, bytes, uint32_t(bytes.size()));
    if (!lost) (from == 0 ? b : a).add(stamp + 1, stamp + 1, bytes, uint32_t(bytes.size()));
  }

  kj::TimePoint now = kj::origin<kj::TimePoint>();
  RunState state;
  Capture a{macBytes(NODE_MACS[0])}, b{macBytes(NODE_MACS[1])};
  uint64_t stamp = 0;
};

TEST_CASE("each phase of os2vm that times out has its own code") {
  struct {
    Phase phase;
    int exit;
    kj::StringPtr code;
  } rows[] = {{Phase::DISCOVERY, 31, "OS2VM_E_DISCOVERY_TIMEOUT"_kj},
              {Phase::SESSION, 41, "OS2VM_E_SESSION_TIMEOUT"_kj},
              {Phase::MUX, 46, "OS2VM_E_MUX_TIMEOUT"_kj},
              {Phase::REMOTE, 51, "OS2VM_E_REMOTE_RESOLVE_MISSING"_kj},
              {Phase::DENY, 91, "OS2VM_E_DENY_MISSING"_kj},
              {Phase::END, 94, "OS2VM_E_END_TIMEOUT"_kj}};
  for (auto& row : rows) {
    Scene scene;
    scene.upTo(row.phase);
    scene.timeOut();
    auto d = scene.diagnosis();
    CHECK(d.exit == row.exit);
    CHECK(d.code == row.code);
    CHECK(d.phase == row.phase);
    CHECK(d.missingMarker.size() > 0);
    CHECK(d.packets == "");
  }
}

TEST_CASE("a node that is over before its marker is named") {
  struct {
    Phase phase;
    kj::byte node;
    int exit;
  } rows[] = {{Phase::DISCOVERY, 0, 32}, {Phase::DISCOVERY, 1, 33}, {Phase::SESSION, 0, 42}, {Phase::SESSION, 1, 43},
              {Phase::MUX, 0, 47},       {Phase::MUX, 1, 48},       {Phase::DENY, 0, 92},    {Phase::DENY, 1, 93},
              {Phase::END, 0, 95},       {Phase::END, 1, 96}};
  for (auto& row : rows) {
    Scene scene;
    scene.upTo(row.phase);
    scene.state.nodeExited(row.node, "exit 1", scene.now);
    auto d = scene.diagnosis();
    CHECK(d.exit == row.exit);
    CHECK(d.node == NODE_NAMES[row.node]);
  }
}

TEST_CASE("a resolve that came and a query that did not is 52") {
  Scene scene;
  scene.upTo(Phase::REMOTE);
  scene.state.consoleLine(0, "SELFTEST: remote resolve ok", 1, scene.now);
  scene.timeOut();
  CHECK(scene.diagnosis().exit == 52);
}

TEST_CASE("each part of the remote phase that is missing has its own code") {
  struct {
    const Marker& marker;
    int exit;
  } rows[] = {{marker::SELFTEST_REMOTE_STATEFS, 60},         {marker::BUS_REMOTE_STATEFS, 65},
              {marker::SELFTEST_REMOTE_PKGFS_STAT, 53},      {marker::SELFTEST_REMOTE_PKGFS_OPEN, 54},
              {marker::SELFTEST_REMOTE_PKGFS_READ_STEP, 55}, {marker::SELFTEST_REMOTE_PKGFS_CLOSE, 56},
              {marker::SELFTEST_REMOTE_PKGFS_READ, 57},      {marker::BUS_REMOTE_PACKAGEFS, 58}};
  for (auto& row : rows) {
    Scene scene;
    scene.upTo(Phase::REMOTE);
    for (auto& rung : scene.state.profile().rungs) {
      if (rung.need == Need::REQUIRED && rung.phase == Phase::REMOTE && rung.marker != &row.marker)
        scene.state.consoleLine(rung.node, rung.text(), 1, scene.now);
    }
    scene.timeOut();
    CHECK(scene.diagnosis().exit == row.exit);
  }
}

TEST_CASE("a mux step that fails is told as one, by its own line and by the marker of all five") {
  for (auto line : {"dsoftbus:mux crossvm fail (the stream ends after 3 bytes)"_kj,
                    "SELFTEST: mux crossvm bulk FAIL (what arrived has another hash)"_kj}) {
    Scene scene;
    scene.upTo(Phase::MUX);
    scene.state.consoleLine(1, line, 1, scene.now);
    CHECK(scene.diagnosis().code == "OS2VM_E_MUX_NEGATIVE_MARKER");
  }
}

TEST_CASE("without captures nothing is concluded from packets") {
  Scene scene;
  scene.upTo(Phase::SESSION);
  scene.timeOut();
  CHECK(scene.diagnosis(false).exit == 41);
  CHECK(scene.diagnosis(false).hint.startsWith("without a capture it is not known"));
}

TEST_CASE("with captures a session without SYN, without SYN-ACK and with both are three different things") {
  auto syn = tcpFrame(0, IP_A, 49152, IP_B, 34568, Packet::SYN);
  auto synAck = tcpFrame(1, IP_B, 34568, IP_A, 49152, Packet::SYN | Packet::ACK);
  Scene none, unanswered, answered;
  for (auto* scene : {&none, &unanswered, &answered}) {
    scene->upTo(Phase::SESSION);
    scene->timeOut();
  }
  CHECK(none.diagnosis(true).code == "OS2VM_E_SESSION_NO_SYN");
  CHECK(none.diagnosis(true).packets.startsWith("A sent no SYN. B sent no SYN. A: 0 frames"));
  CHECK(none.diagnosis(true).subsystem == "dsoftbusd/discovery, or the link");
  CHECK(none.diagnosis(true).hint.startsWith("announcements of one node never reached the other"));
  none.frame(0, udpFrame(0, IP_A, 37020, 0xef2a0001, 37020, 80));
  none.frame(1, udpFrame(1, IP_B, 37020, 0xef2a0001, 37020, 80));
  CHECK(none.diagnosis(true).hint.startsWith("announcements arrived and nobody dialled"));
  CHECK(none.diagnosis(true).subsystem == "dsoftbusd/trust, or netstackd/connect");
  for (int i = 0; i < 3; i++) unanswered.frame(0, syn, i == 0);
  CHECK(unanswered.diagnosis(true).exit == 45);
  CHECK(unanswered.diagnosis(true).packets ==
        "A sent 3 SYN to port 34568 (frames 1, 2, 4); B received 2, answered 0; RST 0. B sent no SYN");
  answered.frame(0, syn);
  answered.frame(1, synAck);
  CHECK(answered.diagnosis(true).exit == 41);
  CHECK(answered.diagnosis(true).packets ==
        "A sent 1 SYN to port 34568 (frames 1); B received 1, answered 1 (frames 3); RST 0. B sent no SYN");
}

TEST_CASE("a discovery that times out tells what each node sent and got") {
  Scene scene;
  scene.upTo(Phase::DISCOVERY);
  scene.timeOut();
  scene.frame(0, udpFrame(0, IP_A, 37020, 0xef2a0001, 37020, 80));
  scene.frame(1, udpFrame(1, IP_B, 37020, 0xef2a0001, 37020, 80), true);
  CHECK(scene.diagnosis(true).packets ==
        "A: 1 frames, 0 ARP, 1 announcements sent, 0 received. B: 2 frames, 0 ARP, 1 announcements sent, 1 received");
}

TEST_CASE("negative lines, panics, dead services, disagreements and launches have their codes") {
  Scene remote, early, panic, died, launch, stopped;
  remote.state.consoleLine(0, "SELFTEST: remote query FAIL", 9, remote.now);
  CHECK(remote.diagnosis().exit == 66);
  CHECK(remote.diagnosis().missingMarker == "");
  early.state.consoleLine(0, "SELFTEST: net iface FAIL", 9, early.now);
  CHECK(early.diagnosis().exit == 78);
  panic.state.consoleLine(1, "Kernel panic - not syncing: x", 9, panic.now);
  CHECK(panic.diagnosis().exit == 73);
  died.state.statusLine(1, "service netstackd exit signal 11", died.now);
  CHECK(died.diagnosis().exit == 76);
  CHECK(died.diagnosis().subsystem == "netstackd");
  CHECK(died.diagnosis().message ==
        "netstackd ended with signal 11 (an access outside its memory) although nobody was meant to end it");
  launch.state.nodeExited(1, "exit 1", launch.now);
  CHECK(launch.diagnosis().code == "OS2VM_E_LAUNCH_NODE_B_FAILED");
  stopped.state.interrupted(stopped.now);
  CHECK(stopped.diagnosis().exit == 130);
}

TEST_CASE("a QEMU that was killed is blamed on the host, not on the guest") {
  Scene killed, ended;
  for (auto* scene : {&killed, &ended}) scene->upTo(Phase::SESSION);
  killed.state.nodeExited(1, "signal 9", killed.now);
  CHECK(killed.diagnosis().exit == 43);
  CHECK(killed.diagnosis().subsystem == "host/qemu");
  ended.state.nodeExited(1, "exit 0", ended.now);
  CHECK(ended.diagnosis().subsystem == "selftest-client/node-b");
}

TEST_CASE("a call that the peer denied is blamed on a policy, not on the one who asked") {
  Scene scene;
  scene.state.consoleLine(0, "SELFTEST: remote resolve FAIL (samgrd: the peer answered denied)", 9, scene.now);
  CHECK(scene.diagnosis().exit == 66);
  CHECK(scene.diagnosis().subsystem == "dsoftbusd/policy");
}

TEST_CASE("in a single guest each phase has its code and the marker's owner is blamed") {
  struct {
    Phase phase;
    int exit;
    kj::StringPtr owner;
  } rows[] = {{Phase::NETWORK, 11, marker::NET_VIRTIO_UP.owner},
              {Phase::SERVICES, 12, marker::SELFTEST_SAMGRD_REGISTER.owner},
              {Phase::BUS, 13, marker::BUS_TRANSPORT_UP.owner},
              {Phase::MUX, 17, marker::BUS_MUX_UP.owner},
              {Phase::ISOLATION, 14, marker::SELFTEST_DMA_ISOLATION.owner},
              {Phase::RESTART, 15, marker::SELFTEST_DRIVER_RESTART.owner},
              {Phase::END, 16, marker::SELFTEST_END.owner}};
  for (auto& row : rows) {
    Scene scene(qemuTestProfile());
    scene.upTo(row.phase);
    scene.timeOut();
    CHECK(scene.diagnosis().exit == row.exit);
    CHECK(scene.diagnosis().subsystem == row.owner);
    CHECK(scene.diagnosis().code.startsWith("QEMU_TEST_E_"));
  }
}

TEST_CASE("every code has its own number, and none is a number with another meaning") {
  auto rows = codeTable();
  for (size_t i = 0; i < rows.size(); i++) {
    CHECK(rows[i].exit != EXIT_SKIPPED);
    CHECK(rows[i].exit > EXIT_USAGE);
    for (size_t j = 0; j < i; j++) CHECK(rows[i].exit > rows[j].exit);
  }
}

}  // namespace
}  // namespace nexus::vmtest
