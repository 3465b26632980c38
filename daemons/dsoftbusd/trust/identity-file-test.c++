#include "daemons/dsoftbusd/trust/identity-file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

struct TempFile {
  TemporaryFolder folder;
  kj::String path;
  explicit TempFile(kj::StringPtr text, mode_t mode = 0600) : path(folder.write("identity", text)) {
    KJ_SYSCALL(chmod(path.cStr(), mode));
  }
};

const auto SEED = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"_kj;

bool refused(kj::StringPtr path, const char* because) {
  auto result = readIdentityFile(path);
  if (!result.is<SettingsError>()) return false;
  return strstr(result.get<SettingsError>().sentence.cStr(), because) != nullptr;
}

TEST_CASE("a seed in a file of its owner alone is read") {
  TempFile file(SEED);
  auto result = readIdentityFile(file.path);
  REQUIRE(result.is<SecretBytes>());
  CHECK(result.get<SecretBytes>().size() == 32);
}

TEST_CASE("a file that others may read is refused with the remedy") {
  TempFile file(SEED, 0640);
  CHECK(refused(file.path, "chmod 0600"));
}

TEST_CASE("a missing file, a folder and anything but a seed are refused") {
  CHECK(refused("/nonexistent/identity", "is missing"));
  CHECK(refused("/proc/self", "not a regular file"));
  TempFile fifo("");
  KJ_SYSCALL(unlink(fifo.path.cStr()));
  KJ_SYSCALL(mkfifo(fifo.path.cStr(), 0600));
  CHECK(refused(fifo.path, "not a regular file"));
  TempFile shortSeed("0011");
  CHECK(refused(shortSeed.path, "64 hexadecimal digits"));
  TempFile longSeed(kj::str(SEED, SEED, SEED, SEED, SEED));
  CHECK(refused(longSeed.path, "64 hexadecimal digits"));
}

struct TempFolder : TemporaryFolder {
  kj::String file() const { return TemporaryFolder::file("identity"); }
};

TEST_CASE("a made file is its owner's alone whatever the umask, and reads back as the same seed") {
  TempFolder folder;
  auto seed = KJ_ASSERT_NONNULL(tryParseSeed(SEED.asArray()));
  CHECK_FALSE(identityFileExists(folder.file()));
  auto before = umask(0);
  CHECK(createIdentityFile(folder.file(), seed) == nullptr);
  umask(before);
  CHECK(identityFileExists(folder.file()));
  struct stat info;
  KJ_SYSCALL(stat(folder.file().cStr(), &info));
  CHECK((info.st_mode & 07777) == 0600);
  auto result = readIdentityFile(folder.file());
  REQUIRE(result.is<SecretBytes>());
  CHECK(result.get<SecretBytes>().equals(seed));
}

TEST_CASE("an existing file, a dangling link and a missing folder are refused and left as they are") {
  TempFolder folder;
  auto seed = KJ_ASSERT_NONNULL(tryParseSeed(SEED.asArray()));
  SecretBytes other(SEED_BYTES);
  CHECK(createIdentityFile(folder.file(), seed) == nullptr);
  auto wrong = createIdentityFile(folder.file(), other);
  CHECK(strstr(KJ_ASSERT_NONNULL(wrong).sentence.cStr(), "exists and is not overwritten") != nullptr);
  CHECK(readIdentityFile(folder.file()).get<SecretBytes>().equals(seed));

  auto target = kj::str(folder.path(), "/target");
  unlink(folder.file().cStr());
  KJ_SYSCALL(symlink(target.cStr(), folder.file().cStr()));
  CHECK(createIdentityFile(folder.file(), seed) != nullptr);
  CHECK_FALSE(identityFileExists(target));
  CHECK(createIdentityFile(kj::str(folder.path(), "/no/identity"), seed) != nullptr);
}

TEST_CASE("a credential is read from the service's own folder, which a group may read and others may not") {
  TemporaryFolder folder;
  SecretBytes seed(SEED_BYTES);
  seed.expose()[0] = 7;
  auto path = folder.file("identity.key");
  REQUIRE(createIdentityFile(path, seed) == nullptr);
  auto read = [&](kj::StringPtr what) { return readIdentity(what, folder.path()); };
  KJ_SYSCALL(chmod(path.cStr(), 0440));
  auto got = read("credential:identity.key");
  REQUIRE(got.is<SecretBytes>());
  CHECK(got.get<SecretBytes>().equals(seed));
  for (mode_t mode : {0444, 0460, 0442}) {
    KJ_SYSCALL(chmod(path.cStr(), mode));
    CHECK(read("credential:identity.key").get<SettingsError>().sentence.startsWith("the credential"));
  }
  for (auto name : {"credential:", "credential:../x", "credential:a/b", "credential:."}) {
    CHECK(read(name).get<SettingsError>().sentence.startsWith("identityFile"));
  }
  CHECK(read("credential:other").get<SettingsError>().sentence.startsWith("the credential"));
  auto nowhere = readIdentity("credential:identity.key", nullptr);
  CHECK(strstr(nowhere.get<SettingsError>().sentence.cStr(), "LoadCredential=identity.key:PATH") != nullptr);
}

}  // namespace
}  // namespace nexus
