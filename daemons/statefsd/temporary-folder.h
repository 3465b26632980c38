#pragma once
// An empty folder for tests; removed when dropped.
#include <kj/debug.h>
#include <kj/string.h>
#include <stdlib.h>

#include <filesystem>

namespace nexus {

struct TemporaryFolder {
  std::filesystem::path root;

  TemporaryFolder() {
    char folder[] = "/tmp/statefsd.XXXXXX";
    KJ_REQUIRE(mkdtemp(folder) != nullptr);
    root = folder;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(root); }
  KJ_DISALLOW_COPY_AND_MOVE(TemporaryFolder);
};

}  // namespace nexus
