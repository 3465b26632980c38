#pragma once
// What is known about a run: which rungs of the ladder have been reached, whether the run has failed, and why. Pure:
// fed with lines, exits and the time, it gives a verdict; it opens nothing, waits for nothing and prints nothing. The
// first failure wins.
#include <kj/time.h>

#include "tools/vmtest/held-time.h"
#include "tools/vmtest/late-phases.h"
#include "tools/vmtest/rung-book.h"
#include "tools/vmtest/status-agreement.h"

namespace nexus::vmtest {

enum class FailureKind : kj::byte {
  MISSING,           // a required rung did not come within its time
  NODE_ENDED,        // a required rung cannot come any more: the selftest is over, or QEMU is gone
  NEGATIVE_LINE,     // a FAIL line or a FAIL on the status channel
  FORBIDDEN_MARKER,  // a marker that this profile forbids
  ADDRESS_CONFLICT,  // a lease and the static fallback in one boot
  PANIC,             // the guest's kernel gave up
  SERVICE_DIED,      // a daemon ended although nobody was meant to end it
  DISAGREEMENT,      // console and status channel tell different stories
  WIRE,              // the packets tell another story than the markers
  GATE,              // perf, soak or chaos; the exit status says which of their failures
  LAUNCH,            // QEMU did not start, or the guest's initd never spoke
  INTERRUPTED,       // by the user
};

struct Failure {
  FailureKind kind;
  Phase phase;
  kj::byte node;
  const Rung* rung;     // the missing or forbidden one; may be null
  kj::String what;      // one sentence for a person
  kj::String line;      // the offending line; may be empty
  kj::uint lineNumber;  // on the console of `node`; 0 when there is none
  kj::Duration at;      // since the launch
  int exit = 0;         // of GATE
};

enum class Stage : kj::byte {
  RUNNING,
  SETTLING,  // everything that was asked for has come; guests may be powered off, a late FAIL still counts
  FINISHED,
};

class RunState {
 public:
  struct Limits {
    kj::uint factor = 1;                  // multiplies every time of the profile
    kj::Maybe<kj::String> kernelRelease;  // what the guests must report; null: anything
    LateSettings late;

    // No budgets, no soak, no chaos: for runs that are about the ladder.
    static Limits markersOnly() { return {1, nullptr, LateSettings::off()}; }
  };

  RunState(const Profile& profile, Phase until, Limits limits, kj::TimePoint start);

  void consoleLine(kj::byte node, kj::StringPtr line, kj::uint number, kj::TimePoint now);
  void statusLine(kj::byte node, kj::StringPtr line, kj::TimePoint now);
  // `how`: "exit 1", "signal 9". Call it after the last line of that node.
  void nodeExited(kj::byte node, kj::StringPtr how, kj::TimePoint now);
  void interrupted(kj::TimePoint now);
  // Lets time-outs happen. Call it at nextDeadline() or later.
  void advance(kj::TimePoint now);
  // The packets contradict the markers of a run that is otherwise whole.
  void contradictedByWire(kj::String what, kj::TimePoint now);
  // The guests are gone, or nobody waits for them any longer: the last checks. Ends SETTLING.
  void finish(kj::TimePoint now);
  // For how long the host has kept the guests waiting for a processor. Limits grow by it, durations do not shrink.
  void note(const HeldTime& held);
  // What the guests must be told now. Ask after every call that may change something.
  kj::Vector<GuestCommand> takeCommands() { return late.takeCommands(); }
  // Whether the link must carry nothing now.
  bool linkCut() const { return late.linkCut() && currentStage == Stage::RUNNING; }
  // Something worth telling that is no failure; the list is bounded.
  void warn(kj::String text);

  Stage stage() const { return currentStage; }
  bool passed() const { return currentStage == Stage::FINISHED && firstFailure == nullptr; }
  kj::Maybe<const Failure&> failure() const {
    return firstFailure.map([](const Failure& f) -> const Failure& { return f; });
  }
  kj::TimePoint nextDeadline() const;

  // For views and reports.
  const Profile& profile() const { return theProfile; }
  Phase until() const { return lastPhase; }
  bool wholeRun() const { return lastPhase == theProfile.phases.back().phase; }
  Phase phase() const { return theProfile.phases[phaseIndex].phase; }
  kj::Duration phaseElapsed(kj::TimePoint now) const { return now - phaseStart; }
  kj::Duration elapsed(kj::TimePoint now) const { return now - start; }
  kj::Duration budget(Phase phase) const;
  kj::Maybe<const Reached&> reached(size_t rung) const { return book.reached(rung); }
  bool inScope(const Rung& rung) const { return book.inScope(rung); }
  const LatePhases& latePhases() const { return late; }
  kj::Maybe<kj::Duration> phaseDuration(Phase phase) const;
  kj::StringPtr lastLine(kj::byte node) const { return nodes[node].lastLine; }
  kj::StringPtr lastMarker(kj::byte node) const { return nodes[node].lastMarker; }
  kj::Maybe<kj::StringPtr> kernelRelease(kj::byte node) const;
  const HeldTime& heldTime() const { return held; }
  kj::Maybe<kj::uint> exitReport(kj::byte node) const { return nodes[node].exitCode; }
  bool allExitsReported() const;
  kj::ArrayPtr<const kj::String> warnings() const { return warningList; }
  kj::ArrayPtr<const kj::String> serviceEvents(kj::byte node) const { return nodes[node].services; }
  // The last warnings and errors of the node's daemons, as they logged them.
  kj::ArrayPtr<const kj::String> notices(kj::byte node) const { return nodes[node].notices; }
  kj::uint requiredCount() const { return book.requiredCount(); }
  kj::uint reachedCount() const { return book.reachedCount(); }

 private:
  struct Node {
    StatusAgreement agreement;
    kj::Maybe<kj::String> kernel;
    kj::Maybe<kj::uint> exitCode;
    bool gone = false;
    bool bound = false, fallback = false;
    bool expectedFailConsole = false, expectedFailStatus = false;
    kj::String lastLine, lastMarker;
    kj::Vector<kj::String> services;
    kj::Vector<kj::String> notices;
    kj::uint malformedStatus = 0;
  };

  void fail(FailureKind kind, Phase phase, kj::byte node, const Rung* rung, kj::String what, kj::TimePoint now,
            kj::StringPtr line = nullptr, kj::uint number = 0);
  void reach(size_t index, kj::StringPtr line, kj::uint number, bool byAlternative, kj::TimePoint now);
  bool matchRungs(kj::byte node, kj::StringPtr line, kj::uint number, kj::TimePoint now);
  void checkAddressMarkers(kj::byte node, kj::StringPtr line, kj::uint number, kj::TimePoint now);
  void checkSelftestOver(kj::byte node, kj::TimePoint now);
  void onStep(kj::byte node, kj::StringPtr name, bool ok, kj::StringPtr line, kj::TimePoint now);
  void onServiceExit(kj::byte node, kj::StringPtr service, kj::StringPtr status, kj::TimePoint now);
  void onExitReport(kj::byte node, kj::uint code, kj::TimePoint now);
  void onKernelReport(kj::byte node, kj::StringPtr release, kj::TimePoint now);
  void reachExpectedFail(kj::byte node, kj::StringPtr line, kj::TimePoint now);
  void completePhases(kj::TimePoint now);
  void gate(kj::TimePoint now);
  kj::Duration totalLimit() const;
  kj::Duration progressLimit() const { return theProfile.progressLimit * int64_t(limits.factor); }
  kj::TimePoint phaseDeadline() const;
  kj::TimePoint progressDeadline() const;
  void timeOut(kj::String why, kj::TimePoint now);

  const Profile& theProfile;
  const Phase lastPhase;
  Limits limits;
  const kj::TimePoint start;
  kj::TimePoint phaseStart, lastProgress;
  HeldTime held;
  kj::Duration heldAtPhase = 0 * kj::SECONDS, heldAtProgress = 0 * kj::SECONDS;
  size_t phaseIndex = 0;
  Stage currentStage = Stage::RUNNING;
  LatePhases late;
  RungBook book;
  kj::Vector<kj::Duration> phaseDurations;
  kj::Array<kj::uint> expectedExitsLeft;
  Node nodes[2];
  kj::Maybe<Failure> firstFailure;
  kj::Vector<kj::String> warningList;
};

}  // namespace nexus::vmtest
