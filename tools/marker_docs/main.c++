// Writes docs/testing/markers.md in the folder where `bazel run //tools/marker_docs` was typed, or to standard output
// with "-". No logic here.
#include <kj/debug.h>
#include <kj/filesystem.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/marker_docs/marker-docs.h"

int main(int argc, char** argv) {
  auto text = nexus::vmtest::markerDocs();
  const char* workspace = getenv("BUILD_WORKSPACE_DIRECTORY");
  if (workspace == nullptr || (argc > 1 && kj::StringPtr(argv[1]) == "-")) {
    kj::FdOutputStream(STDOUT_FILENO).write(text.begin(), text.size());
    return 0;
  }
  auto filesystem = kj::newDiskFilesystem();
  auto path = filesystem->getCurrentPath().evalNative(workspace).append(kj::Path({"docs", "testing", "markers.md"}));
  filesystem->getRoot().openFile(path, kj::WriteMode::CREATE | kj::WriteMode::MODIFY)->writeAll(text);
  return 0;
}
