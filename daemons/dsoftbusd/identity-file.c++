#include "daemons/dsoftbusd/identity-file.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nexus {

namespace {

constexpr size_t MAX_FILE_BYTES = 256;

}  // namespace

kj::OneOf<SecretBytes, SettingsError> readIdentityFile(kj::StringPtr path) {
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC);
  if (raw < 0) return SettingsError{kj::str("the identity file ", path, " is missing or cannot be read")};
  kj::AutoCloseFd fd(raw);
  struct stat info;
  KJ_SYSCALL(fstat(fd, &info));
  if (!S_ISREG(info.st_mode)) return SettingsError{kj::str("the identity file ", path, " is not a regular file")};
  if ((info.st_mode & 077) != 0) {
    return SettingsError{kj::str("the identity file ", path, " can be reached by others: chmod 0600 it")};
  }
  char text[MAX_FILE_BYTES];
  KJ_DEFER(wipeMemory(kj::arrayPtr(reinterpret_cast<kj::byte*>(text), sizeof(text))));
  ssize_t n;
  KJ_SYSCALL(n = read(fd, text, sizeof(text)), path);
  auto seed = tryParseSeed(kj::arrayPtr(text, n));
  KJ_IF_MAYBE (s, seed) return kj::mv(*s);
  return SettingsError{kj::str("the identity file ", path, " does not hold 64 hexadecimal digits")};
}

}  // namespace nexus
