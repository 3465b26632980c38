#include "tools/vmtest/run.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/filesystem.h>
#include <signal.h>
#include <unistd.h>

#include "libs/nexus-net-os/daemon/status-channel.h"
#include "libs/nexus-net-os/testing/temporary-folder.h"
#include "tools/vmtest/diagnosis.h"
#include "tools/vmtest/testing-frames.h"

// The whole harness with a program that stands in for QEMU.
namespace nexus::vmtest {
namespace {

constexpr auto MS = kj::MILLISECONDS;

bool has(kj::StringPtr text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

kj::String readFile(kj::StringPtr path) {
  auto filesystem = kj::newDiskFilesystem();
  auto file = filesystem->getRoot().tryOpenFile(filesystem->getCurrentPath().evalNative(path));
  KJ_IF_MAYBE (f, file) return (*f)->readAllText();
  return kj::str("absent");
}

void writeFile(kj::StringPtr path, kj::StringPtr text) {
  auto filesystem = kj::newDiskFilesystem();
  filesystem->getRoot()
      .openFile(filesystem->getCurrentPath().evalNative(path), kj::WriteMode::CREATE | kj::WriteMode::MODIFY)
      ->writeAll(text);
}

// What a healthy guest of this profile says, up to and including the rung `last`, without the rung `without`.
kj::String healthy(const Profile& profile, kj::StringPtr last = nullptr, kj::StringPtr without = "-") {
  kj::Vector<kj::String> lines;
  bool over[2] = {false, false};
  for (auto& rung : profile.rungs) {
    if (rung.need == Need::FORBIDDEN || over[rung.node] || rung.text() == without) continue;
    lines.add(kj::str(rung.node == 0 ? "[a]" : "[b]"));
    if (rung.source == Source::KERNEL_REPORT) {
      lines.add(kj::str("status kernel 6.1.0-fake"));
    } else if (rung.source == Source::EXIT_REPORT) {
      lines.add(kj::str("status exit 0"));
    } else {
      lines.add(kj::str("console ", rung.text()));
      KJ_IF_MAYBE (step, stepName(rung.marker->text)) lines.add(kj::str("status step ", *step, " ok"));
    }
    if (rung.text() == last) over[rung.node] = true;
  }
  lines.add(kj::str("[all]\n"));
  return kj::strArray(lines, "\n");
}

// What two healthy guests have on their link.
kj::String healthyWire() {
  constexpr uint32_t A = 0x0a2a000a, B = 0x0a2a000b, GROUP = 0xef2a0001;
  kj::Array<kj::byte> frames[] = {arpFrame(0, A, B),
                                  udpFrame(0, A, 37020, GROUP, 37020, 80),
                                  udpFrame(1, B, 37020, GROUP, 37020, 80),
                                  tcpFrame(0, A, 49152, B, 34568, Packet::SYN),
                                  tcpFrame(1, B, 34568, A, 49152, Packet::SYN | Packet::ACK),
                                  tcpFrame(0, A, 49152, B, 34568, Packet::ACK, 48)};
  auto lines = KJ_MAP(frame, frames) {
    return kj::str("frame ", kj::encodeHex(frame), '\n');
  };
  return kj::str("[all]\n", kj::strArray(lines, ""));
}

// For the tests that are about a wait that ends: short, yet long enough for a busy machine to get that far.
Profile hurried(const Profile& profile) {
  Profile copy = profile;
  copy.progressLimit = 1000 * MS;
  copy.totalLimit = 3000 * MS;
  copy.poweroffLimit = 300 * MS;
  return copy;
}

struct Harness {
  explicit Harness(const Profile& profile) : profile(profile) {
    options.profile = &this->profile;
    options.until = profile.phases.back().phase;
    options.accel = AccelChoice::TCG;
    options.budgetFactor = 1;
    options.late = LateSettings::off();
    options.out = kj::str(folder, "/out");
    options.qemu = kj::str("tools/vmtest/fake-qemu");
    environment.tempDir = kj::str(folder);
    environment.kernel = kj::str(folder, "/script");
    environment.initrd = kj::str("/bin/sh");
    auto log = pipePair(1 << 20);
    output = kj::mv(log.ours);
    outputEnd = kj::mv(log.theirs);
    environment.out = environment.err = outputEnd.get();
  }

  int run(kj::StringPtr script, kj::Promise<void> interrupt = kj::NEVER_DONE) {
    writeFile(environment.kernel, script);
    auto io = kj::setupAsyncIo();
    int code = kj::heap<Run>(io, options, environment)->execute(kj::mv(interrupt)).wait(io.waitScope);
    outputEnd = nullptr;
    printed = kj::str(kj::FdInputStream(output.get()).readAllText());
    return code;
  }
  // Of the runs in the default place, those that are marked.
  size_t keptRuns() {
    auto place = kj::newDiskFilesystem()->getRoot().openSubdir(
        kj::Path::parse(kj::str(folder, "/nexus-net-", geteuid()).slice(1)));
    size_t count = 0;
    for (auto& name : place->listNames()) count += place->exists(kj::Path({name, "keep"})) ? 1 : 0;
    return count;
  }
  kj::String file(kj::StringPtr name) { return readFile(kj::str(folder, "/out/", name)); }

  TemporaryFolder temporary;
  kj::StringPtr folder = temporary.path();
  Profile profile;
  Options options;
  RunEnvironment environment;
  kj::AutoCloseFd output, outputEnd;
  kj::String printed;
};

TEST_CASE("a healthy guest passes, is powered off, and every report says so") {
  Harness h(qemuTestProfile());
  CHECK(h.run(kj::str(healthy(qemuTestProfile()), "poweroff\n")) == 0);
  CHECK(has(h.printed, "PASS"));
  CHECK(has(h.printed, "[summary] result=success"));
  CHECK(has(h.file("summary.json"), "\"result\": \"success\""));
  CHECK(has(h.file("summary.json"), "\"exitA\": \"exit 0\""));
  CHECK(has(h.file("junit.xml"), "failures=\"0\" skipped=\"0\""));
  CHECK(has(h.file("uart-A.log"), "SELFTEST: end"));
  CHECK(has(h.file("status-A.log"), "exit 0"));
  CHECK(has(h.file("qemu-A.log"), "nexus.profile=qemu_test"));
  CHECK(h.file("result.txt") == "success\n");
}

TEST_CASE("two healthy guests pass and their captures become one file with an interface each") {
  Harness h(os2vmProfile());
  CHECK(h.run(kj::str(healthy(os2vmProfile()), healthyWire(), "poweroff\n")) == 0);
  CHECK(has(h.file("summary.json"), "\"arp\": 1"));
  CHECK(has(h.file("capture.pcapng"), "node-a"));
  CHECK(has(h.file("capture.pcapng"), "node-b"));
}

TEST_CASE("a missing marker fails with its phase's code, and junit blames it") {
  Harness h(hurried(os2vmProfile()));
  h.options.pcap = PcapMode::OFF;
  CHECK(h.run(healthy(os2vmProfile(), nullptr, "dsoftbusd: cross-vm session ok node-b")) == 41);
  Harness session(hurried(os2vmProfile()));
  session.options.pcap = PcapMode::OFF;
  CHECK(session.run(healthy(os2vmProfile(), "dsoftbusd: discovery announce sent")) == 41);
  CHECK(has(session.printed, "missing   node A: \"dsoftbusd: cross-vm session ok node-b\""));
  CHECK(has(session.printed, "last seen node A: \""));
  CHECK(has(session.printed, "uart-A.log from line 1"));
  CHECK(has(session.file("junit.xml"), "OS2VM_E_SESSION_TIMEOUT"));
  CHECK(session.file("result.txt") == "failed\n");
}

TEST_CASE("a session that times out without any SYN in the capture is told as such") {
  Harness h(hurried(os2vmProfile()));
  CHECK(h.run(healthy(os2vmProfile(), "dsoftbusd: discovery announce sent")) == 44);
  CHECK(has(h.printed, "A sent no SYN"));
}

TEST_CASE("with --pcap=auto the capture is kept for a failure and not for a pass") {
  Harness failing(hurried(os2vmProfile())), passing(os2vmProfile());
  failing.options.pcap = passing.options.pcap = PcapMode::AUTO;
  CHECK(failing.run("status kernel 6.1\n") == 31);
  CHECK(failing.file("capture.pcapng") != "absent");
  CHECK(passing.run(kj::str(healthy(os2vmProfile()), healthyWire(), "poweroff\n")) == 0);
  CHECK(passing.file("capture.pcapng") == "absent");
  CHECK(has(passing.file("summary.json"), "\"syn\": 1"));
}

TEST_CASE("markers that the packets do not bear out fail the run") {
  Harness h(os2vmProfile());
  CHECK(h.run(kj::str(healthy(os2vmProfile()), "poweroff\n")) == 79);
  CHECK(has(h.printed, "OS2VM_E_WIRE_DISAGREES"));
}

TEST_CASE("a forbidden marker, a FAIL line, a panic and a dead service end the run at once with their codes") {
  struct {
    kj::StringPtr line;
    int exit;
  } rows[] = {{"console net: dhcp bound 10.42.0.9/24"_kj, 75},
              {"console SELFTEST: remote query FAIL (status 1)"_kj, 66},
              {"console [ 1.0] Kernel panic - not syncing: x"_kj, 73},
              {"status service netstackd exit signal 11"_kj, 76},
              {"status step net-iface FAIL no link"_kj, 78}};
  for (auto& row : rows) {
    Harness h(os2vmProfile());
    CHECK(h.run(kj::str("status kernel 6.1\n", row.line, "\nhang\n")) == row.exit);
  }
}

TEST_CASE("a FAIL in an otherwise whole run makes it fail") {
  Harness h(os2vmProfile());
  CHECK(h.run(kj::str(healthy(os2vmProfile(), nullptr, "SELFTEST: end"),
                      "[a]\nconsole SELFTEST: remote resolve FAIL\n")) == 66);
}

TEST_CASE("a guest whose two channels disagree fails, although every marker is there") {
  Harness silent(qemuTestProfile());
  kj::Vector<kj::String> lines;
  lines.add(kj::str("status kernel 6.1"));
  for (auto& rung : qemuTestProfile().rungs) {
    if (rung.source == Source::CONSOLE && rung.need != Need::FORBIDDEN) lines.add(kj::str("console ", rung.text()));
  }
  lines.add(kj::str("status exit 0\npoweroff\n"));
  CHECK(silent.run(kj::strArray(lines, "\n")) == 74);
  Harness code(qemuTestProfile());
  CHECK(code.run(kj::str("status exit 3\n", "hang\n")) == 18);
}

TEST_CASE("QEMU that dies is noticed, before and after the guest spoke, with what it said") {
  Harness early(os2vmProfile());
  CHECK(early.run("[all]\nstatus kernel 6.1\n[b]\nstderr could not open /dev/kvm\nexit 1\n[a]\nhang\n") == 33);
  CHECK(has(early.file("qemu-B.log"), "could not open /dev/kvm"));
  CHECK(has(early.printed, "QEMU of node B said: could not open /dev/kvm"));
  Harness launch(os2vmProfile());
  CHECK(launch.run("[b]\nexit 1\n[a]\nhang\n") == 72);
  Harness missing(os2vmProfile());
  CHECK(missing.run("[a]\nexit 0\n[b]\nhang\n") == 71);
}

TEST_CASE("a guest that never says anything is a launch failure within its budget") {
  Harness h(hurried(qemuTestProfile()));
  CHECK(h.run("hang\n") == 71);
  CHECK(has(h.printed, "QEMU of node A ran for 0."));
  CHECK(has(h.printed, " for a processor, and its console said nothing"));
  Harness spoke(hurried(qemuTestProfile()));
  CHECK(spoke.run("console early words\nhang\n") == 71);
  CHECK(has(spoke.printed, " for a processor, and the last line on its console is: early words"));
}

TEST_CASE("a run that is to be kept is marked before anything can end it, and only in the default place") {
  Harness h(qemuTestProfile());
  h.options.out = nullptr;
  h.options.keep = true;
  h.options.qemu = kj::str("/nonexistent/qemu");  // skipped: nothing is made
  CHECK(h.run("hang\n") == 77);
  Harness kept(qemuTestProfile());
  kept.options.out = nullptr;
  kept.options.keep = true;
  kept.environment.initrd = kj::str("/nonexistent/initrd");
  CHECK(kept.run("hang\n") == 61);
  CHECK(kept.keptRuns() == 1);
  Harness out(qemuTestProfile());
  out.options.keep = true;
  out.environment.initrd = kj::str("/nonexistent/initrd");
  CHECK(out.run("hang\n") == 61);
  CHECK(access(kj::str(out.folder, "/out/keep").cStr(), F_OK) != 0);
}

TEST_CASE("a run that stops after a phase passes there and kills what still runs") {
  Harness h(os2vmProfile());
  h.options.until = Phase::SESSION;
  CHECK(h.run(kj::str(healthy(os2vmProfile(), "dsoftbusd: cross-vm session ok node-a"), "hang\n")) == 0);
  CHECK(has(h.file("summary.json"), "\"phaseTarget\": \"session\""));
  CHECK(has(h.file("summary.json"), "\"exitA\": \"signal 9\""));
}

TEST_CASE("a guest that ignores the power-off is killed, with a warning") {
  Harness h(hurried(qemuTestProfile()));
  CHECK(h.run(kj::str(healthy(qemuTestProfile()), "hang\n")) == 0);
  CHECK(has(h.printed, "did not power off when asked; killed"));
}

TEST_CASE("an interruption ends the run with its own code and leaves reports") {
  Harness h(qemuTestProfile());
  CHECK(h.run("hang\n", kj::Promise<void>(kj::READY_NOW)) == 130);
  CHECK(has(h.file("summary.json"), "QEMU_TEST_E_INTERRUPTED"));
}

TEST_CASE("without QEMU the run is skipped with its reason, never passed") {
  Harness h(qemuTestProfile());
  h.options.qemu = kj::str("/does/not/exist");
  CHECK(h.run("") == 77);
  CHECK(has(h.printed, "SKIP  qemu_test: /does/not/exist is not a program that can be run: give another one"));
}

TEST_CASE("a missing artifact and a folder that cannot be made are told before anything starts") {
  Harness artifact(qemuTestProfile());
  artifact.environment.initrd = kj::str("/does/not/exist");
  CHECK(artifact.run("hang\n") == 61);
  CHECK(has(artifact.printed, "bazel build //tools/guest:initramfs"));
  CHECK(has(artifact.file("summary.json"), "QEMU_TEST_E_BUILD_ARTIFACT_MISSING"));
  Harness folder(qemuTestProfile());
  folder.options.out = kj::str("/bin/sh/out");
  CHECK(folder.run("hang\n") == 63);
  CHECK(!has(folder.printed, "free some space"));
  Harness version(qemuTestProfile());
  version.environment.kernelVersion = kj::str("/does/not/exist");
  CHECK(version.run("hang\n") == 61);
}

TEST_CASE("--phase build only looks at the artifacts") {
  Harness h(qemuTestProfile());
  h.options.until = Phase::BUILD;
  h.options.json = true;
  auto err = pipePair(1 << 20);
  h.environment.err = err.theirs.get();
  CHECK(h.run("exit 1\n") == 0);
  CHECK(has(h.printed, "\"result\": \"success\""));
  CHECK(h.printed == h.file("summary.json"));
  CHECK(h.file("result.txt") == "success\n");
}

TEST_CASE("with --json standard output is the summary and nothing else") {
  Harness h(qemuTestProfile());
  h.options.json = true;
  auto err = pipePair(1 << 20);
  h.environment.err = err.theirs.get();
  CHECK(h.run(kj::str(healthy(qemuTestProfile()), "poweroff\n")) == 0);
  CHECK(h.printed.startsWith("{"));
  CHECK(h.printed == h.file("summary.json"));
}

// os2vm without its later phases, for scripts.
Profile upToDeny() {
  Profile copy = os2vmProfile();
  size_t count = 0;
  while (copy.rungs[count].phase <= Phase::DENY) count++;
  copy.rungs = copy.rungs.slice(0, count);
  return copy;
}

// The markers up to phase perf, then a soak that both nodes report.
kj::String soaked(kj::StringPtr countsOfB) {
  constexpr kj::StringPtr COUNTS = "calls 100 failed 0 bytes 4096 breaks 0"_kj;
  return kj::str(
      healthy(upToDeny()),
      "[all]\nstatus traffic 100 0 4096 0\nwait order soak-begin\nwait order soak-end\nconsole SELFTEST: soak "
      "traffic ok (",
      COUNTS, ")\n[a]\nstatus step soak-traffic ok ", COUNTS, "\n[b]\nstatus step soak-traffic ok ", countsOfB,
      "\n[all]\n");
}

TEST_CASE("a soak runs to its end through the whole harness, and its counts must be equal on both channels") {
  for (bool equal : {true, false}) {
    Harness h(os2vmProfile());
    h.options.until = Phase::SOAK;
    h.options.late.soak = SoakSettings{1 * kj::SECONDS, 1};
    auto counts = equal ? "calls 100 failed 0 bytes 4096 breaks 0"_kj : "calls 99 failed 0 bytes 4096 breaks 0"_kj;
    CHECK(h.run(kj::str(soaked(counts), "hang\n")) == (equal ? 0 : 74));
    CHECK(has(h.file("qemu-A.log"), "nexus.traffic=1"));
    if (equal) CHECK(has(h.file("summary.json"), "\"bCalls\": 100"));
  }
}

TEST_CASE("a node that ends in the soak, or in the chaos, is told by phase and node") {
  for (kj::byte node : {0, 1}) {
    for (bool soak : {true, false}) {
      Harness h(os2vmProfile());
      h.options.late.soak = SoakSettings{soak ? 1 * kj::SECONDS : 0 * kj::SECONDS, 1};
      h.options.late.chaos = ChaosMode::KILLS;
      auto begun = soak ? "status traffic 100 0 4096 0\nwait order soak-begin\n"_kj : "wait order arm 0\n"_kj;
      CHECK(h.run(kj::str(healthy(upToDeny()), begun, node == 0 ? "[a]" : "[b]", "\nexit 1\n[all]\nhang\n")) ==
            (soak ? 86 : 106) + node);
    }
  }
}

// What both guests say in one event of phase chaos.
struct ChaosScript {
  bool starts = true;                                // the service that was killed
  kj::StringPtr calls = "both"_kj, streams = calls;  // whose are whole again: both, a
  uint32_t ms = 12;

  kj::String event(const ChaosEvent& event, size_t n) const {
    kj::Vector<kj::String> lines;
    lines.add(kj::str("wait order arm ", n, "\nstatus chaos ", n, " armed"));
    if (event.kind == ChaosEvent::Kind::KILL) {
      lines.add(kj::str(event.node == 0 ? "[a]" : "[b]", "\nwait kill ", event.service, "\nstatus service ",
                        event.service, " exit signal 9"));
      if (starts) lines.add(kj::str("status service ", event.service, " start"));
      lines.add(kj::str("[all]"));
    }
    lines.add(kj::str("wait order go ", n));
    lines.add(kj::str(calls == "a" ? "[a]\n" : "", "status chaos ", n, " call ", ms, "\n[all]"));
    lines.add(kj::str(streams == "a" ? "[a]\n" : "", "status chaos ", n, " stream ", ms, "\n[all]\n"));
    return kj::strArray(lines, "\n");
  }
  kj::String whole(ChaosMode mode) const {
    auto plan = chaosPlan(mode);
    kj::Vector<kj::String> events;
    for (size_t i = 0; i < plan.size(); i++) events.add(event(plan[i], i));
    return kj::strArray(events, "");
  }
};

// Behind the chaos: the guests report it and end.
kj::String ending() {
  Profile copy = os2vmProfile();
  size_t first = 0;
  while (copy.rungs[first].phase < Phase::CHAOS) first++;
  copy.rungs = copy.rungs.slice(first, copy.rungs.size());
  return kj::str("wait order end\n", healthy(copy), "poweroff\n");
}

TEST_CASE("a whole chaos phase: each daemon of each node is killed, the link cut, and everything comes back") {
  Harness h(os2vmProfile());
  h.options.late.chaos = ChaosMode::SHORT;
  CHECK(h.run(kj::str(healthy(upToDeny()), healthyWire(), ChaosScript().whole(ChaosMode::SHORT), ending())) == 0);
  auto summary = h.file("summary.json");
  CHECK(has(summary, "\"planned\": 15"));
  CHECK(has(summary, "\"recovered\": 15"));
  CHECK(has(h.printed, "kill dsoftbusd on B      "));
  CHECK(has(h.printed, "cut the link for 2 s          -   0.01 s   0.01 s   3.00 s"));
  CHECK(has(h.file("junit.xml"), "cut the link for 2 s"));
}

TEST_CASE("a chaos phase in which one thing does not come back fails with its code and says what it is") {
  struct {
    ChaosScript script;
    int exit;
    kj::StringPtr told;
  } rows[] = {{{.starts = false}, 101, "kill virtionetd on A: virtionetd was not started again"_kj},
              {{.calls = "a"_kj, .streams = "both"_kj}, 103, "the calls of node B to its peer are not whole again"_kj},
              {{.streams = "a"_kj}, 104, "the stream of node B is not open again"_kj},
              {{.ms = 3001}, 105, "recovered after 3001 ms, the budget is 3000 ms"_kj}};
  for (auto& row : rows) {
    Harness h(os2vmProfile());
    h.options.late.chaos = ChaosMode::KILLS;
    h.options.late.recoveryLimit = 400 * MS;
    CAPTURE(row.exit);
    CHECK(h.run(kj::str(healthy(upToDeny()), row.script.event(chaosPlan(ChaosMode::KILLS)[0], 0), "hang\n")) ==
          row.exit);
    CHECK(has(h.printed, row.told));
    CHECK(has(h.file("release-evidence.json"), "\"result\": \"failed\""));
  }
}

TEST_CASE("a daemon that dies unasked in the chaos phase is no part of it") {
  Harness h(os2vmProfile());
  h.options.late.chaos = ChaosMode::KILLS;
  CHECK(h.run(kj::str(healthy(upToDeny()),
                      "wait order arm 0\n[b]\nstatus service samgrd exit signal 11\n[all]\nhang\n")) == 76);
}

TEST_CASE("budgets that are exceeded fail the run after its phases, with their code") {
  Harness h(os2vmProfile());
  h.options.late.perf = PerfSettings{true, kj::arr(BudgetSetting{"total"_kj, 0 * MS})};
  CHECK(h.run(kj::str(healthy(upToDeny()), "hang\n")) == 85);
  CHECK(has(h.file("release-evidence.json"), "\"result\": \"failed\""));
}

TEST_CASE("another kernel than the built one is a disagreement") {
  Harness h(qemuTestProfile());
  writeFile(kj::str(h.folder, "/version"), "6.1.192-2 6.1.0-56-cloud-amd64\n");
  h.environment.kernelVersion = kj::str(h.folder, "/version");
  CHECK(h.run("status kernel 5.10\nhang\n") == 74);
  CHECK(has(h.file("summary.json"), "\"kernelPackage\": \"6.1.192-2 6.1.0-56-cloud-amd64\""));
}

TEST_CASE("a guest that floods its console is read to the end and its log is bounded") {
  Harness h(qemuTestProfile());
  auto flood = kj::str("console ", kj::repeat('z', 5000), '\n');
  kj::Vector<kj::String> lines;
  for (int i = 0; i < 4000; i++) lines.add(kj::str(flood));
  CHECK(h.run(kj::str("status kernel 6.1.0\n", kj::strArray(lines, ""), healthy(qemuTestProfile()), "poweroff\n")) ==
        0);
  auto log = h.file("uart-A.log");
  CHECK(log.size() < GuestNode::LOG_MAX + 200);
  CHECK(has(log.slice(log.size() - 100), "the log is full"));
}

TEST_CASE("the faults reach the guest they are meant for") {
  Harness h(os2vmProfile());
  h.options.fault = Fault::WRONG_KEY;
  h.options.flags.add(GuestFlag{kj::byte(0), kj::str("nexus.x=1")});
  CHECK(h.run("[b]\nexit 1\n[a]\nhang\n") == 72);
  CHECK(has(h.printed, "broken on purpose: --fault wrong-key"));
  CHECK(has(h.file("qemu-B.log"), "nexus.variant=wrong-key"));
  CHECK(!has(h.file("qemu-A.log"), "nexus.variant=wrong-key"));
  CHECK(has(h.file("qemu-A.log"), "nexus.x=1"));
  CHECK(!has(h.file("qemu-B.log"), "nexus.x=1"));
}

TEST_CASE("the acceleration probe believes a kernel that boots until it misses its root, and nothing less") {
  auto io = kj::setupAsyncIo();
  TemporaryFolder folder;
  auto script = folder.file("script");
  auto cache = kj::newInMemoryDirectory(kj::nullClock());
  auto decide = [&](kj::StringPtr text, AccelChoice choice, bool cached) {
    writeFile(script, text);
    AccelProbe probe;
    probe.qemu = "tools/vmtest/fake-qemu"_kj;
    probe.kernel = script;
    probe.device = "/dev/null"_kj;
    if (cached) probe.cache = *cache;
    probe.cacheKey = kj::str("key");
    return probe.decide(choice, io).wait(io.waitScope);
  };
  auto boots = "[all]\nconsole [ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs\n"_kj;
  CHECK(decide(boots, AccelChoice::AUTO, false).accel == Accel::KVM);
  CHECK(decide("[all]\nconsole Probing EDD (edd=off to disable)... ok\nexit 1\n", AccelChoice::AUTO, true).accel ==
        Accel::TCG);
  auto again = decide(boots, AccelChoice::AUTO, true);
  CHECK(again.accel == Accel::TCG);
  CHECK(again.reason == "KVM does not boot this kernel, tried before");
  AccelProbe::forget(*cache);
  CHECK(decide(boots, AccelChoice::AUTO, true).accel == Accel::KVM);
  CHECK(decide("", AccelChoice::KVM, false).accel == Accel::KVM);
  CHECK(decide("", AccelChoice::TCG, false).accel == Accel::TCG);
  AccelProbe noDevice;
  noDevice.device = "/does/not/exist"_kj;
  CHECK(noDevice.decide(AccelChoice::AUTO, io).wait(io.waitScope).accel == Accel::TCG);
}

}  // namespace
}  // namespace nexus::vmtest
