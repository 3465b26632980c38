#include "tools/vmtest/run-state.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/daemon/status-channel.h"
#include "tools/vmtest/guest-lines.h"

namespace nexus::vmtest {

namespace {

constexpr size_t WARNINGS_MAX = 32;
constexpr size_t SERVICE_EVENTS_MAX = 64;
constexpr size_t NOTICES_MAX = 4;  // the newest ones

constexpr const Marker* ALL_MARKERS[] = {
#define NEXUS_MARKER(constant, text, owner, proves) &marker::constant,
#include "libs/nexus-net-os/daemon/marker-table.h"
#undef NEXUS_MARKER
};

void addNotice(kj::Vector<kj::String>& notices, kj::StringPtr line) {
  if (notices.size() == NOTICES_MAX) {
    for (size_t i = 1; i < NOTICES_MAX; i++) notices[i - 1] = kj::mv(notices[i]);
    notices.removeLast();
  }
  notices.add(kj::str(line));
}

// Phases in which nothing new on the ladder is no standstill: their own machines watch the traffic.
bool isLong(Phase phase) {
  return phase == Phase::SOAK || phase == Phase::CHAOS;
}

}  // namespace

RunState::RunState(const Profile& profile, Phase until, Limits limits, kj::TimePoint start)
    : theProfile(profile),
      lastPhase(until),
      limits(kj::mv(limits)),
      start(start),
      phaseStart(start),
      lastProgress(start),
      late(kj::mv(this->limits.late), this->limits.factor),
      book(profile, until, [this](Phase phase) { return late.wanted(phase); }),
      expectedExitsLeft(KJ_MAP(e, profile.expectedExits) { return e.times; }) {
  KJ_REQUIRE(profile.find(until) != nullptr, "not a phase of this profile", phaseName(until));
}

// What the guests say ----------------------------------------

void RunState::consoleLine(kj::byte node, kj::StringPtr line, kj::uint number, kj::TimePoint now) {
  if (currentStage == Stage::FINISHED) return;
  auto& n = nodes[node];
  if (line.size() > 0) n.lastLine = kj::heapString(line);
  if (isNoticeLine(line)) addNotice(n.notices, line);
  late.line(node, line);
  if (isPanicLine(line)) {
    fail(FailureKind::PANIC, phase(), node, nullptr, kj::str("the guest's kernel gave up: ", line), now, line, number);
    return;
  }
  if (isFailLine(line)) {
    KJ_IF_MAYBE (index, book.expectedFailure(node)) {
      if (satisfies(theProfile.rungs[*index], line)) {
        n.expectedFailConsole = true;
        reachExpectedFail(node, line, now);
        return;
      }
    }
    // Blame the rung whose step this is, when there is one.
    auto* blamed = book.stepOfFailLine(node, line);
    fail(FailureKind::NEGATIVE_LINE, blamed == nullptr ? phase() : blamed->phase, node, blamed,
         kj::str("the guest printed: ", line), now, line, number);
    return;
  }
  if (!matchRungs(node, line, number, now)) return;
  checkAddressMarkers(node, line, number, now);
  if (carriesMarker(line, marker::SELFTEST_END.text)) checkSelftestOver(node, now);
  completePhases(now);
}

// False when the line ended the run.
bool RunState::matchRungs(kj::byte node, kj::StringPtr line, kj::uint number, kj::TimePoint now) {
  for (size_t i = 0; i < theProfile.rungs.size(); i++) {
    auto& rung = theProfile.rungs[i];
    if (rung.node != node || rung.source != Source::CONSOLE) continue;
    bool direct = satisfies(rung, line);
    bool alternative = !direct && rung.alternative != nullptr && carriesMarker(line, rung.alternative->text);
    if (!direct && !alternative) continue;
    if (rung.need == Need::FORBIDDEN) {
      fail(FailureKind::FORBIDDEN_MARKER, phase(), node, &rung, kj::str("a marker that this profile forbids: ", line),
           now, line, number);
      return false;
    }
    if (alternative && book.reached(i) == nullptr) {
      warn(kj::str("node ", NODE_NAMES[node], ": \"", rung.alternative->text, "\" instead of \"", rung.text(), "\""));
    }
    reach(i, line, number, alternative, now);
  }
  // Whatever step speaks is compared, also one that this ladder does not wait for.
  for (auto* known : ALL_MARKERS) {
    if (!carriesMarker(line, known->text)) continue;
    KJ_IF_MAYBE (step, stepName(known->text)) nodes[node].agreement.onConsole(*step, true);
  }
  return true;
}

void RunState::checkAddressMarkers(kj::byte node, kj::StringPtr line, kj::uint number, kj::TimePoint now) {
  auto& n = nodes[node];
  n.bound |= carriesMarker(line, marker::NET_DHCP_BOUND.text);
  n.fallback |= carriesMarker(line, marker::NET_DHCP_FALLBACK.text);
  if (n.bound && n.fallback) {
    fail(FailureKind::ADDRESS_CONFLICT, phase(), node, nullptr,
         kj::str("dhcp-state-exclusive: a lease and the static fallback in one boot"), now, line, number);
  }
}

// After "SELFTEST: end" no further line of the selftest can come.
void RunState::checkSelftestOver(kj::byte node, kj::TimePoint now) {
  KJ_IF_MAYBE (missing, book.firstMissingOfSelftest(node)) {
    auto& blamed = theProfile.rungs[KJ_ASSERT_NONNULL(book.firstMissing(node, nullptr))];
    fail(FailureKind::NODE_ENDED, blamed.phase, node, &blamed,
         kj::str("the selftest is over without \"", theProfile.rungs[*missing].text(), "\""), now);
  }
}

void RunState::statusLine(kj::byte node, kj::StringPtr line, kj::TimePoint now) {
  if (currentStage == Stage::FINISHED) return;
  auto parsed = parseStatus(line.asArray());
  KJ_IF_MAYBE (message, parsed) {
    KJ_SWITCH_ONEOF(*message) {
      KJ_CASE_ONEOF(m, StatusKernel) onKernelReport(node, m.release, now);
      KJ_CASE_ONEOF(m, StatusStep) {
        late.step(node, m);
        onStep(node, m.name, m.ok, line, now);
      }
      KJ_CASE_ONEOF(m, StatusServiceStart) {
        if (nodes[node].services.size() < SERVICE_EVENTS_MAX) nodes[node].services.add(kj::str(m.name, " started"));
        late.serviceStarted(node, m.name, now);
      }
      KJ_CASE_ONEOF(m, StatusServiceExit) onServiceExit(node, m.name, m.status, now);
      KJ_CASE_ONEOF(m, StatusExit) onExitReport(node, m.code, now);
      KJ_CASE_ONEOF(m, StatusTraffic) late.traffic(node, m, now);
      KJ_CASE_ONEOF(m, StatusChaos) late.chaosMessage(node, m);
    }
  } else if (nodes[node].malformedStatus++ == 0) {
    warn(kj::str("node ", NODE_NAMES[node], ": a line on the status channel that is no message: ", line));
  }
  completePhases(now);
}

void RunState::onKernelReport(kj::byte node, kj::StringPtr release, kj::TimePoint now) {
  nodes[node].kernel = kj::heapString(release);
  KJ_IF_MAYBE (expected, limits.kernelRelease) {
    if (*expected != release) {
      fail(FailureKind::DISAGREEMENT, phase(), node, nullptr,
           kj::str("the guest runs kernel ", release, ", its image was built for ", *expected), now);
      return;
    }
  }
  for (size_t i = 0; i < theProfile.rungs.size(); i++) {
    auto& rung = theProfile.rungs[i];
    if (rung.node == node && rung.source == Source::KERNEL_REPORT) reach(i, release, 0, false, now);
  }
}

void RunState::onStep(kj::byte node, kj::StringPtr name, bool ok, kj::StringPtr line, kj::TimePoint now) {
  lastProgress = now;
  heldAtProgress = held.total();
  if (!ok) {
    KJ_IF_MAYBE (index, book.expectedFailure(node)) {
      if (KJ_ASSERT_NONNULL(stepName(theProfile.rungs[*index].marker->text)) == name) {
        nodes[node].expectedFailStatus = true;
        reachExpectedFail(node, line, now);
        return;
      }
    }
  }
  nodes[node].agreement.onStatus(name, ok);
  if (ok) return;
  auto* blamed = book.stepByName(node, name);
  fail(FailureKind::NEGATIVE_LINE, blamed == nullptr ? phase() : blamed->phase, node, blamed,
       kj::str("the status channel says: ", line), now, line);
}

void RunState::onServiceExit(kj::byte node, kj::StringPtr service, kj::StringPtr status, kj::TimePoint now) {
  auto& n = nodes[node];
  if (n.services.size() < SERVICE_EVENTS_MAX) n.services.add(kj::str(service, " ended: ", status));
  if (late.serviceEnded(node, service, status, now)) return;
  // The selftest's own end is judged by the exit report; after that report services are being stopped. A profile that
  // does not look at the exit breaks more than it can wait for.
  if (service == "selftest" || status == "exit 0" || n.exitCode != nullptr || !theProfile.checksExit) return;
  for (size_t i = 0; i < theProfile.expectedExits.size(); i++) {
    auto& expected = theProfile.expectedExits[i];
    if (expected.service == service && expected.status == status && expectedExitsLeft[i] > 0) {
      expectedExitsLeft[i]--;
      return;
    }
  }
  fail(FailureKind::SERVICE_DIED, phase(), node, nullptr,
       kj::str(service, " ended with ", status, exitMeaning(status), " although nobody was meant to end it"), now);
}

void RunState::onExitReport(kj::byte node, kj::uint code, kj::TimePoint now) {
  auto& n = nodes[node];
  if (n.exitCode == nullptr) n.exitCode = code;
  lastProgress = now;
  if (code == 0) {
    for (size_t i = 0; i < theProfile.rungs.size(); i++) {
      auto& rung = theProfile.rungs[i];
      if (rung.node == node && rung.source == Source::EXIT_REPORT) reach(i, "exit 0", 0, false, now);
    }
    return;
  }
  auto& missing = theProfile.rungs[KJ_ASSERT_NONNULL(book.firstMissing(node, nullptr))];
  bool markersWhole = missing.source == Source::EXIT_REPORT;
  fail(markersWhole ? FailureKind::DISAGREEMENT : FailureKind::NODE_ENDED, missing.phase, node, &missing,
       kj::str("the guest reports exit ", code, markersWhole ? ", although every marker is there" : ""), now);
}

// The expected failure counts when both channels told it.
void RunState::reachExpectedFail(kj::byte node, kj::StringPtr line, kj::TimePoint now) {
  if (!nodes[node].expectedFailConsole || !nodes[node].expectedFailStatus) return;
  reach(KJ_ASSERT_NONNULL(book.expectedFailure(node)), line, 0, false, now);
  completePhases(now);
}

// What happens to the guests ----------------------------------------

void RunState::nodeExited(kj::byte node, kj::StringPtr how, kj::TimePoint now) {
  auto& n = nodes[node];
  if (n.gone) return;
  n.gone = true;
  if (currentStage != Stage::RUNNING) return;
  KJ_IF_MAYBE (index, book.firstMissing(node, nullptr)) {
    auto& rung = theProfile.rungs[*index];
    bool launching = rung.phase == Phase::LAUNCH;
    fail(launching ? FailureKind::LAUNCH : FailureKind::NODE_ENDED, rung.phase, node, &rung,
         kj::str("QEMU of node ", NODE_NAMES[node], " is gone (", how, ")"), now);
  }
}

void RunState::interrupted(kj::TimePoint now) {
  if (currentStage == Stage::FINISHED) return;
  fail(FailureKind::INTERRUPTED, phase(), 0, nullptr, kj::str("interrupted"), now);
}

void RunState::contradictedByWire(kj::String what, kj::TimePoint now) {
  fail(FailureKind::WIRE, lastPhase, 0, nullptr, kj::mv(what), now);
}

void RunState::finish(kj::TimePoint now) {
  if (currentStage == Stage::FINISHED) return;
  bool whole = wholeRun() && theProfile.checksExit;
  for (kj::byte node = 0; node < theProfile.nodes; node++) {
    auto& n = nodes[node];
    auto differences = n.agreement.disagreements(whole);
    if (n.agreement.overflow()) differences.add(kj::str("more steps than anybody reads"));
    if (differences.size() == 0) continue;
    fail(FailureKind::DISAGREEMENT, lastPhase, node, nullptr, kj::strArray(differences, "; "), now);
    return;
  }
  currentStage = Stage::FINISHED;
}

// Time ----------------------------------------

kj::Duration RunState::budget(Phase phase) const {
  auto extra = phase == Phase::SOAK ? late.soak().plan().whole() : 0 * kj::SECONDS;
  return KJ_ASSERT_NONNULL(theProfile.find(phase)).budget * int64_t(limits.factor) + extra;
}

kj::Duration RunState::totalLimit() const {
  return theProfile.totalLimit * int64_t(limits.factor) + late.soak().plan().whole();
}

void RunState::note(const HeldTime& now) {
  held = now;
  late.note(now);
}

kj::TimePoint RunState::phaseDeadline() const {
  return phaseStart + budget(phase()) + held.extra(budget(phase()), heldAtPhase);
}

kj::TimePoint RunState::progressDeadline() const {
  return lastProgress + progressLimit() + held.extra(progressLimit(), heldAtProgress);
}

kj::TimePoint RunState::nextDeadline() const {
  auto total = start + totalLimit() + held.extra(totalLimit(), 0 * kj::SECONDS);
  auto deadline = kj::min(phaseDeadline(), total);
  return isLong(phase()) ? deadline : kj::min(deadline, progressDeadline());
}

void RunState::advance(kj::TimePoint now) {
  completePhases(now);
  if (currentStage != Stage::RUNNING || now < nextDeadline()) return;
  auto andHeld = [](kj::Duration extra) {
    if (extra < 1 * kj::SECONDS) return kj::String();
    return kj::str(", and ", extra / kj::SECONDS, " s more in which this machine ran other programs");
  };
  if (now >= phaseDeadline()) {
    timeOut(kj::str("the phase's budget of ", budget(phase()), " is used up",
                    andHeld(held.extra(budget(phase()), heldAtPhase))),
            now);
  } else if (!isLong(phase()) && now >= progressDeadline()) {
    timeOut(kj::str("no new marker for ", progressLimit(), andHeld(held.extra(progressLimit(), heldAtProgress))), now);
  } else {
    timeOut(
        kj::str("the run's limit of ", totalLimit(), " is used up", andHeld(held.extra(totalLimit(), 0 * kj::SECONDS))),
        now);
  }
}

void RunState::timeOut(kj::String why, kj::TimePoint now) {
  auto index = book.firstMissing(nullptr, phase());
  if (index == nullptr) {
    fail(FailureKind::MISSING, phase(), 0, nullptr, kj::str("phase ", phaseName(phase()), " did not end: ", why), now);
    return;
  }
  auto& rung = theProfile.rungs[KJ_ASSERT_NONNULL(index)];
  auto kind = rung.phase == Phase::LAUNCH ? FailureKind::LAUNCH : FailureKind::MISSING;
  fail(kind, rung.phase, rung.node, &rung, kj::str("\"", rung.text(), "\" did not come: ", why), now);
}

// Bookkeeping ----------------------------------------

void RunState::reach(size_t index, kj::StringPtr line, kj::uint number, bool byAlternative, kj::TimePoint now) {
  if (!book.reach(index, Reached{now - start, number, kj::heapString(line), byAlternative})) return;
  auto& rung = theProfile.rungs[index];
  nodes[rung.node].lastMarker =
      kj::str(byAlternative ? rung.alternative->text : rung.marker->text, byAlternative ? nullptr : rung.rest);
  lastProgress = now;
  heldAtProgress = held.total();
}

void RunState::completePhases(kj::TimePoint now) {
  for (gate(now); currentStage == Stage::RUNNING; gate(now)) {
    if (book.firstMissing(nullptr, phase()) != nullptr || !late.done(phase())) return;
    phaseDurations.add(now - phaseStart);
    late.phaseOver(phase(), now - phaseStart - held.extra(now - phaseStart, heldAtPhase));
    phaseStart = lastProgress = now;
    heldAtPhase = heldAtProgress = held.total();
    if (phase() == lastPhase) {
      currentStage = Stage::SETTLING;
    } else {
      phaseIndex++;
      late.begin(phase(), now - start - held.extra(now - start, 0 * kj::SECONDS), now);
    }
  }
}

void RunState::gate(kj::TimePoint now) {
  if (currentStage != Stage::RUNNING) return;
  auto problem = late.advance(now);
  KJ_IF_MAYBE (failure, problem) {
    fail(FailureKind::GATE, phase(), failure->node, nullptr, kj::mv(failure->what), now);
    KJ_ASSERT_NONNULL(firstFailure).exit = failure->exit;
  }
}

void RunState::fail(FailureKind kind, Phase phase, kj::byte node, const Rung* rung, kj::String what, kj::TimePoint now,
                    kj::StringPtr line, kj::uint number) {
  if (firstFailure != nullptr) return;
  // Whatever a line was about: while the nodes soak it is the soak that has failed.
  if (this->phase() == Phase::SOAK && currentStage == Stage::RUNNING) phase = Phase::SOAK;
  firstFailure = Failure{kind, phase, node, rung, kj::mv(what), kj::heapString(line), number, now - start};
  if (currentStage == Stage::RUNNING) phaseDurations.add(now - phaseStart);
  currentStage = Stage::FINISHED;
}

void RunState::warn(kj::String text) {
  if (warningList.size() < WARNINGS_MAX) warningList.add(kj::mv(text));
}

kj::Maybe<kj::Duration> RunState::phaseDuration(Phase phase) const {
  for (size_t i = 0; i < phaseDurations.size(); i++) {
    if (theProfile.phases[i].phase == phase) return phaseDurations[i];
  }
  return nullptr;
}

kj::Maybe<kj::StringPtr> RunState::kernelRelease(kj::byte node) const {
  KJ_IF_MAYBE (k, nodes[node].kernel) return kj::StringPtr(*k);
  return nullptr;
}

bool RunState::allExitsReported() const {
  return nodes[0].exitCode != nullptr && (theProfile.nodes < 2 || nodes[1].exitCode != nullptr);
}

}  // namespace nexus::vmtest
