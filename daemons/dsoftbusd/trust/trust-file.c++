#include "daemons/dsoftbusd/trust/trust-file.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nexus {

namespace {

constexpr size_t MAX_FILE_BYTES = 256 * 1024;

kj::StringPtr folderOf(kj::StringPtr path, kj::String& buffer) {
  KJ_IF_MAYBE (slash, path.findLast('/')) {
    buffer = *slash == 0 ? kj::str("/") : kj::heapString(path.begin(), *slash);
    return buffer;
  }
  return "."_kj;
}

kj::String nameIn(kj::StringPtr path) {
  KJ_IF_MAYBE (slash, path.findLast('/')) return kj::str(path.slice(*slash + 1));
  return kj::str(path);
}

// As for the identity file: whoever owns a file can change it, whatever its mode says.
bool isOurs(const struct stat& info) {
  return info.st_uid == 0 || info.st_uid == geteuid();
}

[[noreturn]] void fail(kj::String sentence) {
  kj::throwFatalException(KJ_EXCEPTION(FAILED, sentence));
}

kj::AutoCloseFd openFolder(kj::StringPtr path) {
  kj::String buffer;
  auto folder = folderOf(path, buffer);
  int raw = open(folder.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (raw < 0) fail(kj::str("trustFile: the folder ", folder, " cannot be opened: ", strerror(errno)));
  kj::AutoCloseFd fd(raw);
  struct stat info;
  KJ_SYSCALL(fstat(fd, &info));
  if (!isOurs(info)) fail(kj::str("trustFile: the folder ", folder, " belongs to another user"));
  if ((info.st_mode & 022) != 0) fail(kj::str("trustFile: others can write to the folder ", folder, ": chmod 0700 it"));
  return fd;
}

}  // namespace

TrustFile::TrustFile(kj::StringPtr path)
    : path(kj::str(path)), name(nameIn(path)), newName(kj::str(name, ".new")), folder(openFolder(path)) {
  if (name.size() == 0) fail(kj::str("trustFile: ", path, " names a folder; write the path of a file"));
}

kj::Array<TrustedPeer> TrustFile::load() {
  int raw = openat(folder, name.cStr(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (raw < 0 && errno == ENOENT) return nullptr;
  if (raw < 0) fail(kj::str("the trust file ", path, " cannot be opened: ", strerror(errno)));
  kj::AutoCloseFd fd(raw);
  struct stat info;
  KJ_SYSCALL(fstat(fd, &info));
  if (!S_ISREG(info.st_mode)) fail(kj::str("the trust file ", path, " is not a regular file"));
  if (!isOurs(info)) fail(kj::str("the trust file ", path, " belongs to another user"));
  if ((info.st_mode & 077) != 0) fail(kj::str("the trust file ", path, " can be reached by others: chmod 0600 it"));
  if (size_t(info.st_size) > MAX_FILE_BYTES) fail(kj::str("the trust file ", path, " is too large"));
  auto text = kj::FdInputStream(kj::mv(fd)).readAllText(MAX_FILE_BYTES + 1);
  auto parsed = parsePairedPeers(text);
  KJ_IF_MAYBE (wrong, parsed.tryGet<kj::String>()) {
    fail(kj::str("the trust file ", path, " is damaged (", *wrong, "): mend it, or remove it and pair again"));
  }
  return kj::mv(parsed.get<kj::Array<TrustedPeer>>());
}

void TrustFile::save(kj::ArrayPtr<const TrustedPeer> peers) {
  replaceWith(encodePairedPeers(peers));
}

void TrustFile::replaceWith(kj::StringPtr text) {
  unlinkat(folder, newName.cStr(), 0);  // left over from a crash
  int raw = openat(folder, newName.cStr(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (raw < 0) fail(kj::str("the trust file ", path, " cannot be written: ", strerror(errno)));
  kj::AutoCloseFd fd(raw);
  auto rest = text.asArray();
  int error = 0;
  while (rest.size() > 0 && error == 0) {
    ssize_t n = write(fd, rest.begin(), rest.size());
    if (n >= 0) {
      rest = rest.slice(size_t(n), rest.size());
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && fsync(fd) != 0) error = errno;
  if (error == 0 && renameat(folder, newName.cStr(), folder, name.cStr()) != 0) error = errno;
  if (error != 0) {
    unlinkat(folder, newName.cStr(), 0);
    fail(kj::str("the trust file ", path, " cannot be written: ", strerror(error)));
  }
  // The new file is in place: whoever were told that it failed would be told wrong.
  if (fsync(folder) != 0)
    KJ_LOG(WARNING, "the trust file may be the old one after a power loss", path, strerror(errno));
}

}  // namespace nexus
