#include "daemons/bundlemgrd/bundle-store.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/stat.h>

#include "libs/nexus-net-os/store/store-walk.h"
#include "libs/oslite-frames/bundle-image.h"

namespace nexus {

namespace {

struct BundleFile {
  kj::String path;
  uint64_t size;
  kj::Array<kj::byte> data;  // only when it was asked for
};

struct Bundle {
  kj::String name, version;
  kj::Vector<BundleFile> files;
};

enum class Read { SIZES, DATA };

// Everything of one pass over the store: what was found, and what is left of its bounds.
class Pass {
 public:
  Pass(const StoreLimits& limits, Read what) : limits(limits), what(what) {}

  kj::Vector<Bundle> bundles;
  kj::Vector<RefusedBundle> refused;

  void store(int root) {
    for (auto& entry : readFolder(root, "", limits.bundles)) {
      auto fault = kj::mv(entry.refusal);
      if (fault == nullptr)
        fault = entry.isFolder ? versions(root, entry.name) : Refusal{kj::str(entry.name, " is a file")};
      KJ_IF_MAYBE (r, fault) refused.add(RefusedBundle{kj::heapString(entry.name), kj::mv(r->reason)});
    }
  }

 private:
  const StoreLimits& limits;
  Read what;
  size_t files = 0;
  uint64_t bytes = 0;

  // All versions of one bundle, or none of them.
  kj::Maybe<Refusal> versions(int root, kj::StringPtr name) {
    kj::AutoCloseFd folder;
    auto bad = openEntry(root, name, "", EntryKind::FOLDER, folder);
    if (bad != nullptr) return bad;
    kj::Vector<Bundle> found;
    for (auto& entry : readFolder(folder, name, limits.bundles)) {
      if (entry.refusal != nullptr) return kj::mv(entry.refusal);
      if (!entry.isFolder) return Refusal{kj::str(name, '/', entry.name, " is a file")};
      Bundle bundle{kj::heapString(name), kj::heapString(entry.name), {}};
      bad = version(folder, bundle);
      if (bad != nullptr) return bad;
      found.add(kj::mv(bundle));
      KJ_REQUIRE(bundles.size() + found.size() <= limits.bundles, "the bundle store has too many bundles",
                 limits.bundles);
    }
    for (auto& bundle : found) bundles.add(kj::mv(bundle));
    return nullptr;
  }

  kj::Maybe<Refusal> version(int folder, Bundle& bundle) {
    kj::AutoCloseFd opened;
    auto bad = openEntry(folder, bundle.version, bundle.name, EntryKind::FOLDER, opened);
    if (bad != nullptr) return bad;
    auto shownAs = kj::str(bundle.name, '/', bundle.version);
    return walkFiles(opened, shownAs, {limits.depth, limits.pathBytes, limits.files},
                     [&](kj::StringPtr path, int file) { bundle.files.add(take(shownAs, path, file)); });
  }

  BundleFile take(kj::StringPtr bundle, kj::StringPtr path, int file) {
    struct stat info;
    KJ_SYSCALL(fstat(file, &info));
    uint64_t size = info.st_size;
    KJ_REQUIRE(++files <= limits.files, "the bundle store has too many files", limits.files);
    bytes += size;
    KJ_REQUIRE(bytes <= limits.bytes, "the bundle store is too large for an image", limits.bytes);
    BundleFile result{kj::heapString(path), size, nullptr};
    if (what == Read::DATA) result.data = readWholeFile(file, size, kj::str(bundle, '/', path));
    return result;
  }
};

BundleInfo infoOf(const Bundle& bundle) {
  uint64_t bytes = 0;
  for (auto& file : bundle.files) bytes += file.size;
  return {kj::heapString(bundle.name), kj::heapString(bundle.version), uint32_t(bundle.files.size()), bytes};
}

}  // namespace

BundleStore::BundleStore(kj::StringPtr folder, const StoreLimits& limits)
    : folder(kj::heapString(folder)), limits(limits) {
  int fd = open(folder.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    KJ_FAIL_REQUIRE("the bundle store cannot be opened: make the folder, or set `store` in [bundlemgrd]", folder,
                    strerror(errno));
  }
  root = kj::AutoCloseFd(fd);
}

StoreListing BundleStore::list() const {
  Pass pass(limits, Read::SIZES);
  pass.store(root);
  auto bundles = KJ_MAP(b, pass.bundles) {
    return infoOf(b);
  };
  return {kj::mv(bundles), pass.refused.releaseAsArray()};
}

kj::Array<kj::byte> BundleStore::image() const {
  Pass pass(limits, Read::DATA);
  pass.store(root);
  kj::Vector<nxbi::Entry> entries;
  for (auto& bundle : pass.bundles) {
    for (auto& file : bundle.files) {
      entries.add(nxbi::Entry{bundle.name, bundle.version, file.path, nxbi::KIND_FILE, file.data});
    }
  }
  auto image = nxbi::tryEncodeImage(entries);
  KJ_IF_MAYBE (bytes, image) {
    KJ_REQUIRE(bytes->size() <= limits.bytes, "the image of the bundle store is too large", limits.bytes);
    return kj::mv(*bytes);
  }
  KJ_FAIL_REQUIRE("the bundle store does not fit an NXBI image", folder);
}

}  // namespace nexus
