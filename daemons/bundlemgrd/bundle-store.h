#pragma once
// The bundles in a folder on disk: NAME/VERSION/files and folders of files. Owned by Bundlemgrd; reads the disk at
// every call and keeps nothing but the open folder. Only regular files and folders count, and nothing outside the
// folder is ever opened: every step down is one name, opened without following links. A bundle with anything else in it
// (a link, a device, an unfit name) is left out whole.
#include <kj/array.h>
#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace nexus {

struct StoreLimits {
  size_t bundles = 1024;                  // pairs of name and version
  size_t files = 16384;                   // in all bundles
  uint64_t bytes = 16 * 1024 * 1024 - 1;  // of the image: less than 16 MiB
  size_t depth = 16;                      // folders below VERSION
  size_t pathBytes = 1024;                // of a file below VERSION
};

struct BundleInfo {
  kj::String name;
  kj::String version;
  uint32_t files;
  uint64_t bytes;
};

struct RefusedBundle {
  kj::String name;
  kj::String reason;  // for people: "system/1.0.0/evil is a symbolic link"
};

struct StoreListing {
  kj::Array<BundleInfo> bundles;  // ordered by name, then version
  kj::Array<RefusedBundle> refused;
};

class BundleStore {
 public:
  // FAILED, naming the folder, when it cannot be opened.
  explicit BundleStore(kj::StringPtr folder, const StoreLimits& limits = {});

  // FAILED when a bound of the whole store is exceeded or the disk cannot be read.
  StoreListing list() const;

  // The NXBI v1 image of the bundles that list() names, in the same order, files ordered by path. FAILED as list() is,
  // and when the image would exceed its bound.
  kj::Array<kj::byte> image() const;

 private:
  kj::AutoCloseFd root;
  kj::String folder;
  StoreLimits limits;
};

}  // namespace nexus
