#pragma once
// A folder of bundles for tests, with system/1.0.0/build.prop in it; removed when dropped.
#include <kj/debug.h>
#include <kj/string.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace nexus {

struct TemporaryStore {
  std::filesystem::path root;

  TemporaryStore() {
    char folder[] = "/tmp/packagefsd.XXXXXX";
    KJ_REQUIRE(mkdtemp(folder) != nullptr);
    root = folder;
    file("system/1.0.0/build.prop", "ro.nexus.build=dev\n");
  }
  ~TemporaryStore() { std::filesystem::remove_all(root); }
  KJ_DISALLOW_COPY_AND_MOVE(TemporaryStore);

  void file(kj::StringPtr path, kj::StringPtr content) {
    auto full = root / path.cStr();
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full, std::ios::binary) << content.cStr();
  }

  void fileOf(kj::StringPtr path, size_t bytes) {
    file(path, "");
    std::filesystem::resize_file(root / path.cStr(), bytes);
  }
};

}  // namespace nexus
