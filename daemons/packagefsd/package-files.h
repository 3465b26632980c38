#pragma once
// Single files below a folder of bundles, NAME/VERSION/path, by paths that passed pk::checkPath. Owned by Packagefsd;
// keeps nothing but the open folder and reads the disk at every call. Every step down is one name, opened without
// following links; what is neither file nor folder, or has a name that the store does not allow, is not found.
#include <kj/array.h>
#include <kj/io.h>
#include <kj/one-of.h>
#include <kj/string.h>

#include "libs/oslite-frames/packagefs-frames.h"

namespace nexus {

struct PackageStat {
  uint64_t size;  // 0 of a folder
  uint16_t kind;  // pk::KIND_FILE, pk::KIND_FOLDER
};

class PackageFiles {
 public:
  // FAILED, naming the folder, when it cannot be opened.
  explicit PackageFiles(kj::StringPtr folder);

  // relative: pk::Path::relative. NOT_FOUND, or IO when the disk cannot be read.
  kj::OneOf<PackageStat, pk::Status> stat(kj::ArrayPtr<const char> relative) const;

  // The whole file as it is now. BAD_REQUEST of a folder, OVERSIZED above 16384 bytes; otherwise as stat().
  kj::OneOf<kj::Array<kj::byte>, pk::Status> read(kj::ArrayPtr<const char> relative) const;

 private:
  kj::AutoCloseFd root;

  struct Opened {
    kj::AutoCloseFd fd;
    PackageStat stat;
  };
  kj::Maybe<Opened> open(kj::ArrayPtr<const char> relative) const;
};

}  // namespace nexus
