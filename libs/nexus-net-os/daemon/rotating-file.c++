#include "libs/nexus-net-os/daemon/rotating-file.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nexus {

RotatingFile::RotatingFile(kj::StringPtr path, uint64_t maxBytes, kj::uint kept)
    : path(kj::str(path)), name(kj::str(path)), maxBytes(maxBytes), kept(kept) {
  KJ_REQUIRE(maxBytes > 0 && kept > 0, "a file without room, or without a place to put it aside");
  auto folderPath = kj::str(".");
  KJ_IF_MAYBE (slash, path.findLast('/')) {
    folderPath = *slash == 0 ? kj::str("/") : kj::heapString(path.slice(0, *slash));
    name = kj::str(path.slice(*slash + 1));
  }
  KJ_REQUIRE(name.size() > 0, "this names a folder, not a file", path);
  int fd = ::open(folderPath.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  KJ_REQUIRE(fd >= 0, "the folder cannot be opened", folderPath, strerror(errno));
  folder = kj::AutoCloseFd(fd);
  struct stat status;
  KJ_SYSCALL(fstat(folder, &status));
  bool othersWrite = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0;
  KJ_REQUIRE(!othersWrite, "others can write to the folder, and so replace the file", folderPath);
  open();
}

void RotatingFile::open() {
  // For reading too: what the last byte is has to be known.
  int fd = openat(folder, name.cStr(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  KJ_REQUIRE(fd >= 0, "the file cannot be opened", path, strerror(errno));
  file = kj::AutoCloseFd(fd);
  struct stat status;
  KJ_SYSCALL(fstat(file, &status));
  KJ_REQUIRE(S_ISREG(status.st_mode), "this is no regular file", path);
  KJ_REQUIRE(status.st_uid == geteuid() && (status.st_mode & 077) == 0,
             "the file must belong to this user and have mode 0600", path);
  size = status.st_size;
  char last = '\n';
  if (size > 0) {
    KJ_SYSCALL(pread(file, &last, 1, size - 1));
  }
  torn = last != '\n';
}

kj::Maybe<kj::String> RotatingFile::tryAppend(kj::StringPtr line) {
  auto bytes = kj::str(torn ? "\n" : "", line, '\n');
  if (putAside || (size > 0 && size + bytes.size() > maxBytes)) {
    auto failed = rotate();
    KJ_IF_MAYBE (why, failed) return kj::mv(*why);
    bytes = kj::str(line, '\n');
  }
  ssize_t n;
  do {
    n = write(file, bytes.begin(), bytes.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) return kj::str(path, ": ", strerror(errno));
  size += n;
  torn = bytes[n - 1] != '\n';
  if (size_t(n) < bytes.size()) return kj::str(path, ": ", strerror(ENOSPC));
  return nullptr;
}

kj::String RotatingFile::nameOf(kj::uint generation) const {
  return generation == 0 ? kj::str(name) : kj::str(name, '.', generation);
}

// Can be tried again after it failed at any step.
kj::Maybe<kj::String> RotatingFile::rotate() {
  for (kj::uint i = kept; !putAside && i > 0; i--) {
    int result = renameat(folder, nameOf(i - 1).cStr(), folder, nameOf(i).cStr());
    if (result != 0 && errno != ENOENT) return kj::str(path, ": cannot be put aside: ", strerror(errno));
  }
  putAside = true;
  constexpr int FRESH = O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
  int fd = openat(folder, name.cStr(), FRESH, 0600);
  if (fd < 0) return kj::str(path, ": cannot be made anew: ", strerror(errno));
  file = kj::AutoCloseFd(fd);
  putAside = torn = false;
  size = 0;
  rotations++;
  return nullptr;
}

}  // namespace nexus
