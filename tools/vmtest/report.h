#pragma once
// The machine-readable results of a run: summary.json, junit.xml, and the one line that ends every run. Pure: from what
// is known to text.
#include "tools/vmtest/diagnosis.h"

namespace nexus::vmtest {

struct QemuReport {
  kj::String pid;   // number, or "not_started"
  kj::String exit;  // "exit 0", "signal 9", "not_started", "running"
};

// What the run state does not know.
struct RunFacts {
  kj::String runId;
  kj::String accel, accelReason;
  kj::String qemuVersion;
  kj::String kernelVersion;  // package version and release, as built
  kj::uint factor = 1;
  kj::String outDir;
  kj::String pcapMode;
  kj::String capturePath;  // empty: none was kept
  bool captured = false;
  kj::Duration launchDuration = 0 * kj::SECONDS, total = 0 * kj::SECONDS;
  kj::Vector<QemuReport> qemu;
};

kj::String summaryJson(const RunState& state, kj::Maybe<const Diagnosis&> failure, const RunFacts& facts,
                       kj::ArrayPtr<const Capture* const> captures);

// One test case per required rung in scope. A failure without a rung is a case of its own.
kj::String junitXml(const RunState& state, kj::Maybe<const Diagnosis&> failure, const RunFacts& facts);

// "[summary] result=failed code=... phase=... node=... summary=PATH"
kj::String summaryLine(kj::Maybe<const Diagnosis&> failure, bool skipped, kj::StringPtr summaryPath);

// For runs that never launched anything; null: the guest is built, and no more was asked for.
kj::String preflightSummaryJson(const Profile& profile, kj::Maybe<const Diagnosis&> failure, kj::StringPtr outDir);

}  // namespace nexus::vmtest
