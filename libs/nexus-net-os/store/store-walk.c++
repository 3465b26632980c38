#include "libs/nexus-net-os/store/store-walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace nexus {

namespace {

Refusal refuse(kj::StringPtr path, kj::StringPtr name, kj::StringPtr what) {
  return {kj::str(path, path.size() > 0 ? "/" : "", name, ' ', what)};
}

kj::StringPtr kindName(mode_t mode) {
  if (S_ISLNK(mode)) return "is a symbolic link"_kj;
  if (S_ISDIR(mode)) return "is a folder"_kj;
  if (S_ISREG(mode)) return "is a file"_kj;
  return "is neither file nor folder"_kj;
}

class FolderStream {
 public:
  explicit FolderStream(int folder) {
    // A descriptor of its own: the position of a duplicate would be shared.
    int fd;
    KJ_SYSCALL(fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    stream = fdopendir(fd);
    KJ_REQUIRE(stream != nullptr, "cannot read a folder of the store");
  }
  ~FolderStream() { closedir(stream); }
  KJ_DISALLOW_COPY_AND_MOVE(FolderStream);

  // Null at the end.
  const dirent* next() {
    errno = 0;
    auto* entry = readdir(stream);
    KJ_REQUIRE(entry != nullptr || errno == 0, "cannot read a folder of the store", strerror(errno));
    return entry;
  }

 private:
  DIR* stream;
};

struct Walk {
  const WalkLimits& limits;
  kj::StringPtr shownAs;
  kj::Function<void(kj::StringPtr, int)>& visit;

  kj::Maybe<Refusal> folder(int fd, kj::StringPtr below, size_t depth) {
    auto shown = below.size() > 0 ? kj::str(shownAs, '/', below) : kj::heapString(shownAs);
    for (auto& entry : readFolder(fd, shown, limits.entries)) {
      if (entry.refusal != nullptr) return kj::mv(entry.refusal);
      auto path = below.size() > 0 ? kj::str(below, '/', entry.name) : kj::heapString(entry.name);
      if (path.size() > limits.pathBytes) return refuse(shown, entry.name, "has too long a path");
      if (entry.isFolder && depth == limits.depth) return refuse(shown, entry.name, "lies too deep");
      kj::AutoCloseFd opened;
      auto bad = openEntry(fd, entry.name, shown, entry.isFolder ? EntryKind::FOLDER : EntryKind::FILE, opened);
      if (bad != nullptr) return bad;
      if (!entry.isFolder) {
        visit(path, opened);
        continue;
      }
      bad = folder(opened, path, depth + 1);
      if (bad != nullptr) return bad;
    }
    return nullptr;
  }
};

}  // namespace

bool isStoreName(kj::StringPtr name) {
  if (name.size() == 0 || name.size() > 255 || name[0] == '.') return false;
  for (char c : name) {
    bool plain = ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9');
    if (!plain && c != '.' && c != '_' && c != '-' && c != '+') return false;
  }
  return true;
}

kj::Array<FolderEntry> readFolder(int folder, kj::StringPtr path, size_t maxEntries) {
  kj::Vector<FolderEntry> entries;
  FolderStream stream(folder);
  while (auto* found = stream.next()) {
    kj::StringPtr name = found->d_name;
    if (name == "." || name == "..") continue;
    KJ_REQUIRE(entries.size() < maxEntries, "a folder of the bundle store has too many entries", path, maxEntries);
    FolderEntry entry{kj::heapString(name), false, nullptr};
    struct stat info;
    if (!isStoreName(name)) {
      entry.refusal = refuse(path, name, "has a name that is not allowed");
    } else if (fstatat(folder, name.cStr(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      entry.refusal = refuse(path, name, "is gone again");
    } else if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
      entry.refusal = refuse(path, name, kindName(info.st_mode));
    } else {
      entry.isFolder = S_ISDIR(info.st_mode);
    }
    entries.add(kj::mv(entry));
  }
  std::sort(entries.begin(), entries.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return entries.releaseAsArray();
}

kj::Maybe<Refusal> openEntry(int folder, kj::StringPtr name, kj::StringPtr path, EntryKind kind, kj::AutoCloseFd& out) {
  // What was seen when the folder was read may have been exchanged since: the open itself refuses links, and the
  // descriptor says what it is. O_NONBLOCK, because opening a pipe would wait for its writer.
  int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  int fd = openat(folder, name.cStr(), flags);
  if (fd < 0) {
    switch (errno) {
      case ELOOP:
        return refuse(path, name, "is a symbolic link");
      case EACCES:
        return refuse(path, name, "may not be read");
      case ENOENT:
        return refuse(path, name, "is gone again");
      case ENXIO:
        return refuse(path, name, "is neither file nor folder");
      default:
        KJ_FAIL_SYSCALL("openat", errno, "cannot open a part of the bundle store", path, name);
    }
  }
  out = kj::AutoCloseFd(fd);
  struct stat info;
  KJ_SYSCALL(fstat(fd, &info));
  bool right = kind == EntryKind::FOLDER ? S_ISDIR(info.st_mode) : S_ISREG(info.st_mode);
  if (!right) return refuse(path, name, kindName(info.st_mode));
  return nullptr;
}

kj::Maybe<Refusal> walkFiles(int folder, kj::StringPtr shownAs, const WalkLimits& limits,
                             kj::Function<void(kj::StringPtr, int)> visit) {
  return Walk{limits, shownAs, visit}.folder(folder, "", 0);
}

kj::Array<kj::byte> readWholeFile(int file, size_t size, kj::StringPtr path) {
  auto data = kj::heapArray<kj::byte>(size);
  size_t filled = 0;
  while (filled < size) {
    ssize_t n;
    KJ_SYSCALL(n = read(file, data.begin() + filled, size - filled), path);
    KJ_REQUIRE(n > 0, "a file of the bundle store became shorter while it was read", path);
    filled += n;
  }
  return data;
}

}  // namespace nexus
