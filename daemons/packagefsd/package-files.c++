#include "daemons/packagefsd/package-files.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <sys/stat.h>

#include "libs/nexus-net-os/store/store-walk.h"

namespace nexus {

namespace {

// Cuts the first segment off; the rest is empty after the last one.
kj::String takeSegment(kj::ArrayPtr<const char>& rest) {
  size_t length = 0;
  while (length < rest.size() && rest[length] != '/') length++;
  auto segment = kj::heapString(rest.slice(0, length));
  rest = rest.slice(kj::min(length + 1, rest.size()), rest.size());
  return segment;
}

// The answer, or IO when the disk says no. What of a path reaches the log is names that the store allows.
template <typename Result, typename Make>
Result orIo(Make&& make) {
  Result result = pk::Status::IO;
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { result = make(); })) {
    KJ_LOG(WARNING, "a file of the bundle store cannot be read", exception->getDescription());
  }
  return result;
}

}  // namespace

PackageFiles::PackageFiles(kj::StringPtr folder) {
  int fd;
  KJ_SYSCALL(fd = ::open(folder.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC),
             "the bundle store cannot be opened: make the folder, or set `store` in [packagefsd]", folder);
  root = kj::AutoCloseFd(fd);
}

kj::Maybe<PackageFiles::Opened> PackageFiles::open(kj::ArrayPtr<const char> relative) const {
  kj::AutoCloseFd folder;
  int at = root;
  for (auto rest = relative;;) {
    auto name = takeSegment(rest);
    if (!isStoreName(name)) return nullptr;
    kj::AutoCloseFd opened;
    bool last = rest.size() == 0;
    if (last && openEntry(at, name, "", EntryKind::FILE, opened) == nullptr) {
      struct stat info;
      KJ_SYSCALL(fstat(opened, &info));
      return Opened{kj::mv(opened), {uint64_t(info.st_size), pk::KIND_FILE}};
    }
    if (openEntry(at, name, "", EntryKind::FOLDER, opened) != nullptr) return nullptr;
    if (last) return Opened{kj::mv(opened), {0, pk::KIND_FOLDER}};
    folder = kj::mv(opened);
    at = folder;
  }
}

kj::OneOf<PackageStat, pk::Status> PackageFiles::stat(kj::ArrayPtr<const char> relative) const {
  using Result = kj::OneOf<PackageStat, pk::Status>;
  return orIo<Result>([&]() -> Result {
    auto opened = open(relative);
    KJ_IF_MAYBE (o, opened) return o->stat;
    return pk::Status::NOT_FOUND;
  });
}

kj::OneOf<kj::Array<kj::byte>, pk::Status> PackageFiles::read(kj::ArrayPtr<const char> relative) const {
  using Result = kj::OneOf<kj::Array<kj::byte>, pk::Status>;
  return orIo<Result>([&]() -> Result {
    auto opened = open(relative);
    KJ_IF_MAYBE (o, opened) {
      if (o->stat.kind != pk::KIND_FILE) return pk::Status::BAD_REQUEST;
      if (o->stat.size > pk::MAX_FILE_BYTES) return pk::Status::OVERSIZED;
      return readWholeFile(o->fd, o->stat.size, kj::str(relative));
    }
    return pk::Status::NOT_FOUND;
  });
}

}  // namespace nexus
