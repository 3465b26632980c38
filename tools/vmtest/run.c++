#include "tools/vmtest/run.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <unistd.h>

#include "tools/vmtest/capture-merge.h"
#include "tools/vmtest/host-checks.h"
#include "tools/vmtest/wire-evidence.h"

namespace nexus::vmtest {

namespace {

constexpr kj::Duration VERSION_MAX = 20 * kj::SECONDS;  // for `qemu --version`
constexpr kj::StringPtr KVM_DEVICE = "/dev/kvm"_kj;
constexpr kj::Duration TICK = 50 * kj::MILLISECONDS;
constexpr kj::Duration HELD_INTERVAL = 250 * kj::MILLISECONDS;
constexpr kj::Duration LINGER = 200 * kj::MILLISECONDS;  // for the last lines and packets after a failure

kj::String firstLine(kj::StringPtr text) {
  return kj::heapString(text.begin(), text.findFirst('\n').orDefault(text.size()));
}

}  // namespace

Run::Run(kj::AsyncIoContext& io, const Options& options, const RunEnvironment& environment)
    : io(io),
      options(options),
      env(environment),
      profile(*options.profile),
      // With --json standard output belongs to the summary.
      screen(options.json ? environment.err : environment.out, environment.redraw && !options.json,
             environment.color && !options.json),
      tasks(*this) {
  facts.pcapMode = kj::str(pcapModeName(options.pcap));
  facts.captured = options.pcap != PcapMode::OFF;
}

kj::Promise<int> Run::execute(kj::Promise<void> interrupt) {
  auto over = preflight();
  KJ_IF_MAYBE (exit, over) co_return *exit;
  co_await prepare();
  launch();
  tasks.add(interrupt.then([this] { KJ_ASSERT_NONNULL(runState).interrupted(now()); }));
  co_await watch();
  co_await settle();
  KJ_IF_MAYBE (exception, taskFailure) kj::throwFatalException(kj::mv(*exception));
  co_return report();
}

// Before any guest ----------------------------------------

kj::Maybe<int> Run::preflight() {
  auto found = findProgram(options.qemu, env.searchPath);
  KJ_IF_MAYBE (path, found) {
    qemu = kj::mv(*path);
  } else {
    if (options.qemu.findFirst('/') != nullptr)
      return reportSkip(kj::str(options.qemu, " is not a program that can be run: give another one with --qemu"));
    return reportSkip(kj::str(options.qemu, " is not installed: apt-get install qemu-system-x86"));
  }
  if (options.accel == AccelChoice::KVM && access(KVM_DEVICE.cStr(), R_OK | W_OK) < 0) {
    return reportSkip(kj::str("--accel kvm, and ", KVM_DEVICE, " cannot be used (", strerror(errno),
                              "): leave --accel out, or join the device's group"));
  }
  facts.runId = kj::str(profile.name, '-', hostNanoseconds() / 1000000);
  auto asPtr = [](const kj::Maybe<kj::String>& text) { return text.map([](auto& t) { return kj::StringPtr(t); }); };
  auto badFolder = folder.choose({asPtr(options.out), asPtr(env.testOutputs), env.tempDir, profile.name, options.keep});
  facts.outDir = kj::str(folder.path());
  KJ_IF_MAYBE (problem, badFolder) return reportPreflight(EXIT_FOLDER, *problem);
  auto kernelBad = artifactProblem("kernel", env.kernel, "//tools/guest:kernel");
  KJ_IF_MAYBE (problem, kernelBad) return reportPreflight(EXIT_ARTIFACT_MISSING, *problem);
  auto initrdBad = artifactProblem("initial root file system", env.initrd, "//tools/guest:initramfs");
  KJ_IF_MAYBE (problem, initrdBad) return reportPreflight(EXIT_ARTIFACT_MISSING, *problem);
  KJ_IF_MAYBE (path, env.kernelVersion) {
    auto versionBad = artifactProblem("kernel's version", *path, "//tools/guest:kernel");
    KJ_IF_MAYBE (problem, versionBad) return reportPreflight(EXIT_ARTIFACT_MISSING, *problem);
  }
  auto full = spaceProblem(facts.outDir, freeKib(facts.outDir));
  KJ_IF_MAYBE (problem, full) return reportPreflight(EXIT_NO_SPACE, *problem);
  readKernelVersion();
  if (options.until == Phase::BUILD) return reportBuilt();
  return nullptr;
}

int Run::reportBuilt() {
  screen.line(kj::str("PASS  build: ", env.kernel, " (", facts.kernelVersion, "), ", env.initrd));
  auto json = preflightSummaryJson(profile, nullptr, facts.outDir);
  folder.write("summary.json", json.asBytes());
  folder.write("result.txt", "success\n"_kj.asBytes());
  screen.line(summaryLine(nullptr, false, kj::str(facts.outDir, "/summary.json")));
  if (options.json) kj::FdOutputStream(env.out).write(json.begin(), json.size());
  folder.tidyUp();
  return 0;
}

int Run::reportPreflight(int exit, kj::StringPtr message) {
  auto diagnosis = preflightDiagnosis(profile, exit, message);
  screen.line(kj::str("FAIL  ", diagnosis.code, " (exit ", exit, ")"));
  screen.line(kj::str("  what      ", diagnosis.message));
  screen.line(kj::str("  next      ", diagnosis.hint));
  auto json = preflightSummaryJson(profile, diagnosis, facts.outDir);
  auto path = kj::str("-");
  if (facts.outDir.size() > 0) {
    path = kj::str(facts.outDir, "/summary.json");
    folder.write("summary.json", json.asBytes());
    folder.write("result.txt", "failed\n"_kj.asBytes());
  }
  if (options.json) kj::FdOutputStream(env.out).write(json.begin(), json.size());
  screen.line(summaryLine(diagnosis, false, path));
  return exit;
}

int Run::reportSkip(kj::StringPtr reason) {
  screen.line(kj::str("SKIP  ", profile.name, ": ", reason));
  screen.line(summaryLine(nullptr, true, "-"));
  if (options.json) {
    auto json = kj::str("{\"schema\": \"nexus.vmtest/1\", \"result\": \"skipped\"}\n");
    kj::FdOutputStream(env.out).write(json.begin(), json.size());
  }
  return EXIT_SKIPPED;
}

// "6.1.192-2 6.1.0-56-cloud-amd64": package version, then the release that the guests must report.
void Run::readKernelVersion() {
  facts.kernelVersion = kj::str("unknown");
  KJ_IF_MAYBE (path, env.kernelVersion) {
    auto filesystem = kj::newDiskFilesystem();
    auto text = filesystem->getRoot().openFile(filesystem->getCurrentPath().evalNative(*path))->readAllText();
    facts.kernelVersion = firstLine(text);
    KJ_IF_MAYBE (space, facts.kernelVersion.findFirst(' '))
      kernelRelease = kj::str(facts.kernelVersion.slice(*space + 1));
  }
}

kj::Promise<kj::String> Run::qemuVersion() {
  auto output = pipePair(4096);
  auto args = kj::heapArray<kj::String>(2);
  args[0] = kj::str(qemu);
  args[1] = kj::str("--version");
  QemuProcess process(io.unixEventPort, args, nullptr, output.theirs.get());
  output.theirs = nullptr;
  auto stream = io.lowLevelProvider->wrapInputFd(kj::mv(output.ours));
  auto text = firstLine(co_await io.provider->getTimer().timeoutAfter(VERSION_MAX, stream->readAllText(4096)));
  constexpr kj::StringPtr PREFIX = "QEMU emulator version "_kj;
  co_return kj::str(text.startsWith(PREFIX) ? text.slice(PREFIX.size()) : kj::StringPtr(text));
}

kj::Promise<void> Run::prepare() {
  facts.qemuVersion = co_await qemuVersion();
  auto filesystem = kj::newDiskFilesystem();
  KJ_IF_MAYBE (path, env.cacheDir) {
    if (makeFolder(*path) == nullptr)
      cache = filesystem->getRoot().openSubdir(filesystem->getCurrentPath().evalNative(*path), kj::WriteMode::MODIFY);
  }
  AccelProbe probe;
  probe.qemu = qemu;
  probe.kernel = env.kernel;
  probe.cacheKey = accelCacheKey(qemu, env.kernel);
  KJ_IF_MAYBE (c, cache) probe.cache = **c;
  auto decision = co_await probe.decide(options.accel, io);
  accel = decision.accel;
  facts.accel = kj::str(accel == Accel::KVM ? "kvm" : "tcg");
  facts.accelReason = kj::mv(decision.reason);
  facts.factor = options.budgetFactor.orDefault(accel == Accel::KVM ? 1 : TCG_FACTOR);
  if (profile.nodes == 1) peers = co_await HostPeers::start(io.provider->getNetwork(), io.provider->getTimer());
  header();
}

void Run::header() {
  auto version =
      kj::heapString(facts.qemuVersion.begin(), facts.qemuVersion.findFirst(' ').orDefault(facts.qemuVersion.size()));
  screen.line(kj::str("nexus-net ", profile.name, "  QEMU ", version, "  memory ", options.memoryMiB, " MiB  pcap ",
                      facts.pcapMode));
  screen.line(kj::str("  accel ", facts.accel, " (", facts.accelReason, ')'));
  screen.line(kj::str("  kernel ", facts.kernelVersion));
  if (options.fault != Fault::NONE) screen.line(kj::str("  broken on purpose: --fault ", faultName(options.fault)));
  screen.line(kj::str("  out ", facts.outDir));
}

// The guests ----------------------------------------

kj::Vector<kj::String> Run::guestWords(kj::byte node) {
  kj::Vector<kj::String> words;
  if (profile.guestWord.size() > 0) words.add(kj::str(profile.guestWord));
  if (facts.factor > 1) words.add(kj::str("nexus.scale=", facts.factor * 100));
  KJ_IF_MAYBE (p, peers) {
    words.add(kj::str("nexus.dns=", (*p)->dnsPort()));
    words.add(kj::str("nexus.tcp=", (*p)->tcpPort()));
  }
  if (profile.nodes == 2 && LatePhases(options.late.clone(), 1).needsTraffic(options.until))
    words.add(kj::str("nexus.traffic=1"));
  if (options.fault == Fault::NO_RESTART && node == 1) words.add(kj::str("nexus.once=samgrd"));
  if (options.fault == Fault::WRONG_KEY && node == 1) words.add(kj::str("nexus.variant=wrong-key"));
  if (options.fault == Fault::NO_RULE && node == 1) words.add(kj::str("nexus.variant=no-rule"));
  if (options.fault == Fault::KILL_DRIVER && node == 0) words.add(kj::str("nexus.kill=virtionetd@200"));
  for (auto& flag : options.flags) {
    if (flag.node.orDefault(node) == node) words.add(kj::str(flag.text));
  }
  return words;
}

void Run::launch() {
  kj::Maybe<kj::AutoCloseFd> ends[2];
  if (profile.nodes == 2) {
    auto& between = link.emplace();
    between.setCut(options.fault == Fault::NO_PEER);
    for (kj::byte node = 0; node < 2; node++) ends[node] = between.openEnd(node);
  }
  RunState::Limits limits;
  limits.factor = facts.factor;
  limits.late = options.late.clone();
  if (profile.nodes < 2) limits.late.perf.enabled = false;
  KJ_IF_MAYBE (release, kernelRelease) limits.kernelRelease = kj::str(*release);
  launchStamp = hostNanoseconds();
  runState.emplace(profile, options.until, kj::mv(limits), now());
  for (kj::byte node = 0; node < profile.nodes; node++) {
    auto words = guestWords(node);
    GuestSpec spec{};
    spec.qemu = qemu;
    spec.accel = accel;
    spec.memoryMiB = options.memoryMiB;
    spec.kernel = env.kernel;
    spec.initrd = env.initrd;
    spec.profile = profile.guestProfile;
    spec.node = node;
    spec.mac = NODE_MACS[node];
    spec.iommuPlatform = profile.iommuPlatform;
    spec.guestFlags = words;
    guests.add(kj::heap<GuestNode>(io, spec, kj::mv(ends[node]), facts.captured, facts.outDir,
                                   static_cast<GuestListener&>(*this)));
    tasks.add(guests.back()->run());
  }
}

kj::Promise<void> Run::watch() {
  auto& state = KJ_ASSERT_NONNULL(runState);
  while (state.stage() == Stage::RUNNING && taskFailure == nullptr) {
    screen.update(state, now());
    co_await io.provider->getTimer().afterDelay(TICK);
    lookHeld();
    state.advance(now());
    obey();
  }
}

// Asks the kernel for how long it kept the guests waiting.
void Run::lookHeld() {
  if (now() < heldLooked + HELD_INTERVAL) return;
  heldLooked = now();
  for (kj::byte node = 0; node < guests.size(); node++) held.note(node, guests[node]->lookTimes().waited);
  KJ_ASSERT_NONNULL(runState).note(held);
}

// Does what the run state wants to be done to link and guests. The link first: what is ordered then must get through.
void Run::obey() {
  auto& state = KJ_ASSERT_NONNULL(runState);
  KJ_IF_MAYBE (l, link) {
    bool never = options.fault == Fault::NO_PEER || (options.fault == Fault::STAY_CUT && l->isCut());
    if (!never) l->setCut(state.linkCut());
  }
  for (auto& command : state.takeCommands()) tasks.add(guests[command.node]->send(command.command));
}

kj::Promise<void> Run::whenGuestsEnded(kj::Duration limit) {
  auto deadline = now() + limit;
  while (ended < guests.size() && now() < deadline && taskFailure == nullptr)
    co_await io.provider->getTimer().afterDelay(TICK / 5);
}

kj::Promise<void> Run::settle() {
  auto& state = KJ_ASSERT_NONNULL(runState);
  facts.total = state.elapsed(now());
  if (state.stage() == Stage::SETTLING && state.wholeRun() && profile.checksExit) {
    for (auto& guest : guests) tasks.add(guest->send(PowerOffCommand()));
    co_await whenGuestsEnded(profile.poweroffLimit * int64_t(facts.factor));
    for (auto& guest : guests) {
      if (!guest->ended()) state.warn(kj::str("QEMU ", guest->report().pid, " did not power off when asked; killed"));
    }
  } else {
    co_await io.provider->getTimer().afterDelay(LINGER);
  }
  for (auto& guest : guests) guest->kill();
  co_await whenGuestsEnded(2 * kj::SECONDS);
  if (state.stage() == Stage::SETTLING && state.wholeRun() && profile.nodes == 2 && facts.captured) {
    auto contradiction = wireContradiction(captures());
    KJ_IF_MAYBE (what, contradiction) state.contradictedByWire(kj::mv(*what), now());
  }
  state.finish(now());
  screen.settle(state, now());
}

// implements GuestListener, ErrorHandler ----------------------------------------

void Run::onConsoleLine(kj::byte node, kj::StringPtr line, kj::uint number) {
  KJ_ASSERT_NONNULL(runState).consoleLine(node, line, number, now());
  obey();
}

void Run::onStatusLine(kj::byte node, kj::StringPtr line) {
  auto& state = KJ_ASSERT_NONNULL(runState);
  state.statusLine(node, line, now());
  state.advance(now());  // what a phase does next need not wait for the next tick
  obey();
}

void Run::onExited(kj::byte node, kj::StringPtr how) {
  ended++;
  KJ_ASSERT_NONNULL(runState).nodeExited(node, how, now());
}

// Reading a guest failed, which no guest can bring about: the run cannot be judged.
void Run::taskFailed(kj::Exception&& exception) {
  taskFailure = kj::mv(exception);
}

}  // namespace nexus::vmtest
