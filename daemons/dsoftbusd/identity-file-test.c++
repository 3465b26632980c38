#include "daemons/dsoftbusd/identity-file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nexus {
namespace {

struct TempFile {
  char path[64] = "/tmp/identity-file-test-XXXXXX";
  explicit TempFile(kj::StringPtr text, mode_t mode = 0600) {
    int raw;
    KJ_SYSCALL(raw = mkstemp(path));
    kj::AutoCloseFd fd(raw);
    kj::FdOutputStream(raw).write(text.begin(), text.size());
    KJ_SYSCALL(fchmod(raw, mode));
  }
  ~TempFile() { unlink(path); }
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
  TempFile shortSeed("0011");
  CHECK(refused(shortSeed.path, "64 hexadecimal digits"));
  TempFile longSeed(kj::str(SEED, SEED, SEED, SEED, SEED));
  CHECK(refused(longSeed.path, "64 hexadecimal digits"));
}

}  // namespace
}  // namespace nexus
