#include "daemons/dsoftbusd/trust/trust-file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

struct Fixture {
  TemporaryFolder folder;
  kj::String path = folder.file("paired");

  void write(kj::StringPtr at, kj::StringPtr text) {
    int raw = open(at.cStr(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    KJ_ASSERT(raw >= 0);
    kj::FdOutputStream(kj::AutoCloseFd(raw)).write(text.begin(), text.size());
  }
  mode_t mode() {
    struct stat info;
    KJ_SYSCALL(stat(path.cStr(), &info));
    return info.st_mode & 07777;
  }
};

TrustedPeer peer(kj::StringPtr name) {
  return {kj::str(name), DeviceIdentity::forTest(name).publicIdentity()};
}

TEST_CASE("peers that were saved are there for the next daemon, in a file for its owner alone") {
  Fixture f;
  TrustFile file(f.path);
  CHECK(file.load().size() == 0);
  file.save(kj::arr(peer("a"), peer("b")));
  CHECK(f.mode() == 0600);
  file.save(kj::arr(peer("b")));
  auto loaded = TrustFile(f.path).load();
  REQUIRE(loaded.size() == 1);
  CHECK(loaded[0].name == "b");
  CHECK(access(kj::str(f.path, ".new").cStr(), F_OK) != 0);
}

TEST_CASE("what a crash left behind does not stand in the way, and an old file outlives a failure") {
  Fixture f;
  TrustFile file(f.path);
  file.save(kj::arr(peer("a")));
  f.write(kj::str(f.path, ".new"), "half");
  CHECK(file.load().size() == 1);
  file.save(kj::arr(peer("a"), peer("b")));
  CHECK(file.load().size() == 2);
  KJ_SYSCALL(mkdir(kj::str(f.path, ".new").cStr(), 0700));
  CHECK_THROWS_WITH_AS(file.save(nullptr), doctest::Contains("cannot be written"), kj::Exception);
  CHECK(file.load().size() == 2);
}

TEST_CASE("a file that others can reach, that is a link, or that is damaged is refused with a sentence") {
  Fixture f;
  TrustFile file(f.path);
  file.save(kj::arr(peer("a")));
  KJ_SYSCALL(chmod(f.path.cStr(), 0640));
  CHECK_THROWS_WITH_AS(file.load(), doctest::Contains("chmod 0600"), kj::Exception);
  KJ_SYSCALL(chmod(f.path.cStr(), 0600));
  f.write(f.path, "nexus-net paired peers 1\nhalf");
  CHECK_THROWS_WITH_AS(file.load(), doctest::Contains("damaged (line 2 is cut short)"), kj::Exception);
  KJ_SYSCALL(unlink(f.path.cStr()));
  KJ_SYSCALL(symlink("/dev/null", f.path.cStr()));
  CHECK_THROWS_WITH_AS(file.load(), doctest::Contains("cannot be opened"), kj::Exception);
}

TEST_CASE("a folder that is missing, or that others can write to, is refused with a sentence") {
  Fixture f;
  CHECK_THROWS_WITH_AS(TrustFile(f.folder.file("none/paired")), doctest::Contains("cannot be opened"), kj::Exception);
  KJ_SYSCALL(chmod(f.folder.path().cStr(), 0777));
  CHECK_THROWS_WITH_AS(TrustFile(f.path.asPtr()), doctest::Contains("others can write"), kj::Exception);
}

TEST_CASE("a file or folder of another user is refused, whatever its mode") {
  Fixture f;
  TrustFile file(f.path);
  file.save(kj::arr(peer("a")));
  if (chown(f.path.cStr(), 12345, 12345) != 0) return;  // only root can give a file away, and not in every sandbox
  CHECK_THROWS_WITH_AS(file.load(), doctest::Contains("belongs to another user"), kj::Exception);
  KJ_SYSCALL(chown(f.folder.path().cStr(), 12345, 12345));
  CHECK_THROWS_WITH_AS(TrustFile(f.path.asPtr()), doctest::Contains("belongs to another user"), kj::Exception);
}

}  // namespace
}  // namespace nexus
