#include "tools/marker_docs/marker-docs.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/filesystem.h>

namespace nexus::vmtest {
namespace {

TEST_CASE("the checked-in documentation of the markers is the generated one; if not: bazel run //tools/marker_docs") {
  auto filesystem = kj::newDiskFilesystem();
  auto path = filesystem->getCurrentPath().append(kj::Path({"docs", "testing", "markers.md"}));
  bool same = filesystem->getRoot().openFile(path)->readAllText() == markerDocs();
  CHECK(same);
}

}  // namespace
}  // namespace nexus::vmtest
