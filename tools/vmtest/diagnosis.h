#pragma once
// From a failure to its explanation: a typed code with its exit number, whose job it was, what the packets say, what to
// run next. Pure; the codes and exit numbers are a contract with whoever scripts the harness (docs/testing/index.md).
#include "tools/vmtest/capture.h"
#include "tools/vmtest/failure-codes.h"
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

Diagnosis preflightDiagnosis(const Profile& profile, int exit, kj::StringPtr message);

// What the session's packets say: SYNs, their answers, resets, with the frame numbers of the capture file.
kj::String describeSession(kj::ArrayPtr<const Capture* const> captures);
kj::String describeCounts(kj::ArrayPtr<const Capture* const> captures);
kj::String describeDiscovery(kj::ArrayPtr<const Capture* const> captures);

}  // namespace nexus::vmtest
