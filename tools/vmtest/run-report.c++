// What a run leaves and says when it is over: the files of its folder, and the verdict.
#include <kj/debug.h>

#include "tools/vmtest/capture-merge.h"
#include "tools/vmtest/host-checks.h"
#include "tools/vmtest/late-report.h"
#include "tools/vmtest/run.h"

namespace nexus::vmtest {

kj::Array<const Capture*> Run::captures() {
  if (!facts.captured) return nullptr;
  return KJ_MAP(guest, guests) {
    return &guest->capture();
  };
}

void Run::noteFailedLaunch(const Failure& failure) {
  bool launch = failure.kind == FailureKind::LAUNCH;
  // KVM that passed its probe and then does not bring up a guest is tried again next time.
  KJ_IF_MAYBE (c, cache) {
    if (launch && accel == Accel::KVM) AccelProbe::forget(**c);
  }
  if (!launch && failure.kind != FailureKind::NODE_ENDED) return;
  auto& state = KJ_ASSERT_NONNULL(runState);
  auto& guest = *guests[failure.node];
  auto who = kj::str("QEMU of node ", NODE_NAMES[failure.node], ' ');
  if (launch) state.warn(kj::str(who, guest.story()));
  auto said = guest.qemuLastLine();
  if (said.size() > 0) state.warn(kj::str(who, "said: ", said));
}

kj::String Run::writeReports(kj::Maybe<const Diagnosis&> verdict) {
  auto& state = KJ_ASSERT_NONNULL(runState);
  auto seen = captures();
  if (facts.captured && (options.pcap == PcapMode::ON || verdict != nullptr)) {
    facts.capturePath = kj::str(facts.outDir, "/capture.pcapng");
    folder.write("capture.pcapng", pcapngOf(seen, state, launchStamp));
  }
  auto json = summaryJson(state, verdict, facts, seen), junit = junitXml(state, verdict, facts);
  folder.write("summary.json", json.asBytes());
  folder.write("junit.xml", junit.asBytes());
  if (profile.find(Phase::PERF) != nullptr) {
    auto commands = KJ_MAP(guest, guests) {
      return kj::str(guest->command());
    };
    auto evidence = releaseEvidenceJson(state, verdict == nullptr, facts.runId, hostNanoseconds() / 1000000, commands,
                                        facts.outDir);
    folder.write("release-evidence.json", evidence.asBytes());
  }
  folder.write("result.txt", (verdict == nullptr ? "success\n"_kj : "failed\n"_kj).asBytes());
  KJ_IF_MAYBE (path, env.xmlOutput) writeWholeFile(*path, junit.asBytes());
  return json;
}

kj::Vector<kj::String> Run::verdictText(kj::Maybe<const Diagnosis&> verdict) {
  auto& state = KJ_ASSERT_NONNULL(runState);
  KJ_IF_MAYBE (d, verdict) {
    auto tails = KJ_MAP(guest, guests) {
      return guest->tail();
    };
    auto text = failureText(state, KJ_ASSERT_NONNULL(state.failure()), *d, facts, tails);
    if (env.github) text.add(kj::str("::error title=", d->code, "::", d->message));
    return text;
  }
  return passText(state, facts, captures());
}

int Run::report() {
  auto& state = KJ_ASSERT_NONNULL(runState);
  for (auto& guest : guests) {
    facts.qemu.add(guest->report());
    KJ_IF_MAYBE (error, guest->captureError()) state.warn(kj::str("a capture is not whole: ", *error));
  }
  kj::Maybe<Diagnosis> diagnosis;
  KJ_IF_MAYBE (failure, state.failure()) {
    noteFailedLaunch(*failure);
    diagnosis = diagnose(state, *failure, captures());
  }
  kj::Maybe<const Diagnosis&> verdict;
  KJ_IF_MAYBE (d, diagnosis) verdict = *d;
  auto json = writeReports(verdict);
  for (auto& line : verdictText(verdict)) screen.line(line);
  screen.line(summaryLine(verdict, false, kj::str(facts.outDir, "/summary.json")));
  if (options.json) kj::FdOutputStream(env.out).write(json.begin(), json.size());
  folder.tidyUp();
  KJ_IF_MAYBE (d, diagnosis) return d->exit;
  return 0;
}

}  // namespace nexus::vmtest
