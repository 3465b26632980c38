#include "daemons/dsoftbusd/trust/identity-file.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nexus {

namespace {

constexpr size_t MAX_FILE_BYTES = 256;
constexpr auto CREDENTIAL = "credential:"_kj;

// The text of the file, on the stack so that it can be wiped.
struct SeedText {
  char text[2 * SEED_BYTES + 1];

  explicit SeedText(const SecretBytes& seed) {
    KJ_REQUIRE(seed.size() == SEED_BYTES);
    size_t at = 0;
    for (kj::byte b : seed.expose()) {
      text[at++] = "0123456789abcdef"[b >> 4];
      text[at++] = "0123456789abcdef"[b & 15];
    }
    text[at] = '\n';
  }
  ~SeedText() { wipeMemory(kj::arrayPtr(reinterpret_cast<kj::byte*>(text), sizeof(text))); }
  KJ_DISALLOW_COPY_AND_MOVE(SeedText);
};

// 0, or the error number.
int writeDurably(int fd, kj::ArrayPtr<const char> text) {
  while (text.size() > 0) {
    ssize_t n = write(fd, text.begin(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text = text.slice(size_t(n), text.size());
  }
  return fsync(fd) == 0 ? 0 : errno;
}

// What is the thing for messages: "the identity file". forbidden: permissions that it must not have.
kj::OneOf<SecretBytes, SettingsError> readSeed(kj::StringPtr what, kj::StringPtr path, mode_t forbidden) {
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // not to hang on a FIFO
  if (raw < 0) return SettingsError{kj::str(what, " ", path, " is missing or cannot be read")};
  kj::AutoCloseFd fd(raw);
  struct stat info;
  KJ_SYSCALL(fstat(fd, &info));
  if (!S_ISREG(info.st_mode)) return SettingsError{kj::str(what, " ", path, " is not a regular file")};
  if (info.st_uid != 0 && info.st_uid != geteuid()) {
    return SettingsError{kj::str(what, " ", path, " belongs to another user")};
  }
  if ((info.st_mode & forbidden) != 0) {
    return SettingsError{kj::str(what, " ", path, " can be reached by others: chmod 0600 it")};
  }
  char text[MAX_FILE_BYTES];
  KJ_DEFER(wipeMemory(kj::arrayPtr(reinterpret_cast<kj::byte*>(text), sizeof(text))));
  ssize_t n;
  KJ_SYSCALL(n = read(fd, text, sizeof(text)), path);
  auto seed = tryParseSeed(kj::arrayPtr(text, n));
  KJ_IF_MAYBE (s, seed) return kj::mv(*s);
  return SettingsError{kj::str(what, " ", path, " does not hold 64 hexadecimal digits")};
}

}  // namespace

kj::OneOf<SecretBytes, SettingsError> readIdentityFile(kj::StringPtr path) {
  auto folder = getenv("CREDENTIALS_DIRECTORY");
  return readIdentity(path, folder == nullptr ? kj::Maybe<kj::StringPtr>(nullptr) : kj::StringPtr(folder));
}

kj::OneOf<SecretBytes, SettingsError> readIdentity(kj::StringPtr pathOrCredential,
                                                   kj::Maybe<kj::StringPtr> credentialsFolder) {
  if (!pathOrCredential.startsWith(CREDENTIAL)) return readSeed("the identity file", pathOrCredential, 077);
  auto name = pathOrCredential.slice(CREDENTIAL.size());
  if (name.size() == 0 || name.findFirst('/') != nullptr || name.startsWith(".")) {
    return SettingsError{
        kj::str("identityFile \"", pathOrCredential, "\": write credential:NAME, a name without \"/\"")};
  }
  KJ_IF_MAYBE (folder, credentialsFolder) return readSeed("the credential", kj::str(*folder, '/', name), 027);
  return SettingsError{kj::str("identityFile is \"", pathOrCredential,
                               "\", but there is no $CREDENTIALS_DIRECTORY: give the unit LoadCredential=", name,
                               ":PATH")};
}

kj::Maybe<SettingsError> createIdentityFile(kj::StringPtr path, const SecretBytes& seed) {
  int raw = open(path.cStr(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (raw < 0 && errno == EEXIST) {
    return SettingsError{kj::str(path, " exists and is not overwritten: choose another name")};
  }
  if (raw < 0) return SettingsError{kj::str("the identity file ", path, " cannot be made: ", strerror(errno))};
  kj::AutoCloseFd fd(raw);
  SeedText text(seed);
  int error = fchmod(fd, 0600) == 0 ? writeDurably(fd, kj::arrayPtr(text.text, sizeof(text.text))) : errno;
  if (error == 0) return nullptr;
  unlink(path.cStr());
  return SettingsError{kj::str("the identity file ", path, " cannot be written: ", strerror(error))};
}

bool identityFileExists(kj::StringPtr path) {
  struct stat info;
  return lstat(path.cStr(), &info) == 0;
}

}  // namespace nexus
