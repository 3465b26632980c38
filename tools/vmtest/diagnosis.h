#pragma once
// From a failure to its explanation: a typed code with its exit number, whose job it was, what the packets say, what to
// run next. Pure; the codes and exit numbers are a contract with whoever scripts the harness (docs/testing/index.md).
#include "tools/vmtest/capture.h"
#include "tools/vmtest/run-state.h"

namespace nexus::vmtest {

struct Diagnosis {
  kj::String code;  // "OS2VM_E_SESSION_NO_SYN"
  int exit;
  Phase phase;
  kj::String node;  // "A", "B" or "-"
  kj::String subsystem;
  kj::String message;
  kj::String missingMarker;  // empty when nothing is missing
  kj::String hint;
  kj::String confidence;  // "0.92": how sure the class is, not the run's failure
  kj::String packets;     // a sentence; empty without captures
  kj::String filter;      // display filter for the capture
};

// captures: one per node, or empty when nothing was captured: then nothing is concluded from packets.
Diagnosis diagnose(const RunState& state, const Failure& failure, kj::ArrayPtr<const Capture* const> captures);

// Failures before any guest runs.
constexpr int EXIT_USAGE = 2, EXIT_ARTIFACT_MISSING = 61, EXIT_NO_SPACE = 62, EXIT_FOLDER = 63, EXIT_SKIPPED = 77,
              EXIT_UNEXPECTED = 99, EXIT_INTERRUPTED = 130;
Diagnosis preflightDiagnosis(const Profile& profile, int exit, kj::StringPtr message);

// What the session's packets say: SYNs, their answers, resets, with the frame numbers of the capture file.
kj::String describeSession(kj::ArrayPtr<const Capture* const> captures);
kj::String describeCounts(kj::ArrayPtr<const Capture* const> captures);
kj::String describeDiscovery(kj::ArrayPtr<const Capture* const> captures);

// All codes, for the documentation: "31  OS2VM_E_DISCOVERY_TIMEOUT ...".
struct CodeRow {
  int exit;
  kj::StringPtr name;  // behind the profile's prefix
  kj::StringPtr subsystem;
  kj::StringPtr confidence;
  kj::StringPtr hint;
};
kj::ArrayPtr<const CodeRow> codeTable();

}  // namespace nexus::vmtest
