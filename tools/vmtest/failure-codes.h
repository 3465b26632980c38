#pragma once
// The typed failures: code, exit status, whose job it is. A table and nothing else; the numbers are a contract with
// whoever scripts the harness (docs/testing/index.md).
#include <kj/string.h>

namespace nexus::vmtest {

// Failures that are not a phase's.
constexpr int EXIT_USAGE = 2, EXIT_ARTIFACT_MISSING = 61, EXIT_NO_SPACE = 62, EXIT_FOLDER = 63, EXIT_SKIPPED = 77,
              EXIT_UNEXPECTED = 99, EXIT_INTERRUPTED = 130;

// All codes, for the documentation: "31  OS2VM_E_DISCOVERY_TIMEOUT ...".
struct CodeRow {
  int exit;
  kj::StringPtr name;  // behind the profile's prefix
  kj::StringPtr subsystem;
  kj::StringPtr confidence;
  kj::StringPtr hint;
};
kj::ArrayPtr<const CodeRow> codeTable();
// The row of that exit status; that of UNEXPECTED when there is none.
const CodeRow& codeRow(int exit);

}  // namespace nexus::vmtest
