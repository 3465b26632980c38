#pragma once
// Where a run leaves its files: the folder that was asked for, the test's, or a fresh one in the user's default place,
// where old runs are removed. Owned by the run.
#include <kj/array.h>
#include <kj/io.h>
#include <kj/string.h>

namespace nexus::vmtest {

class RunFolder {
 public:
  struct Choice {
    kj::Maybe<kj::StringPtr> out;          // --out
    kj::Maybe<kj::StringPtr> testOutputs;  // TEST_UNDECLARED_OUTPUTS_DIR
    kj::StringPtr tempDir;
    kj::StringPtr profile;
    bool keep = false;  // in the default place: later runs leave it, however this one ends
  };

  // What is wrong, in a sentence; then path() is empty.
  kj::Maybe<kj::String> choose(const Choice& choice);
  kj::StringPtr path() const { return folder; }

  void write(kj::StringPtr name, kj::ArrayPtr<const kj::byte> content) const;

  // In the default place: removes old runs.
  void tidyUp() const;

 private:
  kj::String folder, base, profile;    // base: empty unless the folder is in the default place
  kj::Maybe<kj::AutoCloseFd> running;  // the lock that says so, in the default place
};

// Writes or overwrites one file.
void writeWholeFile(kj::StringPtr path, kj::ArrayPtr<const kj::byte> content);

}  // namespace nexus::vmtest
