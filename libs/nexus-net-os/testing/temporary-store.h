#pragma once
// A folder of bundles for tests, with system/1.0.0/build.prop in it; removed when dropped.
#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {

struct TemporaryStore : TemporaryFolder {
  TemporaryStore() { write("system/1.0.0/build.prop", "ro.nexus.build=dev\n"); }

  // A file of that many zero bytes, none of which takes space on the disk.
  void writeZeros(kj::StringPtr name, size_t bytes) {
    write(name, "");
    std::filesystem::resize_file(root / name.cStr(), bytes);
  }
};

}  // namespace nexus
