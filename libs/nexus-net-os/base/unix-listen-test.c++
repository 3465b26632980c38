#include "libs/nexus-net-os/base/unix-listen.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

struct Fixture {
  TemporaryFolder folder{TemporaryFolder::For::SOCKETS};
  kj::String path = folder.file("x.sock");

  kj::AutoCloseFd client(bool connected = true) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path.begin(), path.size());
    int fd;
    KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    kj::AutoCloseFd result(fd);
    CHECK((connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) == connected);
    return result;
  }
  ino_t inode() {
    struct stat info;
    KJ_SYSCALL(lstat(path.cStr(), &info));
    return info.st_ino;
  }
};

TEST_CASE("it listens at the path, for its owner alone, whatever the umask") {
  Fixture f;
  auto before = umask(0);
  auto listener = listenUnix(f.path, 8);
  umask(before);
  struct stat info;
  KJ_SYSCALL(lstat(f.path.cStr(), &info));
  CHECK((info.st_mode & 07777) == 0600);
  f.client();
}

TEST_CASE("a socket on which somebody answers is left to it, also when it has no room for one more") {
  Fixture f;
  auto living = listenUnix(f.path, 0);
  auto inode = f.inode();
  CHECK_THROWS_WITH(listenUnix(f.path, 8), doctest::Contains("another process serves at this path"));
  // Fill the backlog: nobody accepts here.
  f.client(false);
  CHECK_THROWS_WITH(listenUnix(f.path, 8), doctest::Contains("another process serves at this path"));
  CHECK(f.inode() == inode);
}

TEST_CASE("what a process that is gone has left is taken over") {
  Fixture f;
  listenUnix(f.path, 8);  // closed again: the path stays
  auto listener = listenUnix(f.path, 8);
  f.client();
}

TEST_CASE("a file that is no socket is never removed") {
  Fixture f;
  f.folder.write("x.sock", "precious");
  CHECK_THROWS_WITH(listenUnix(f.path, 8), doctest::Contains("nothing can be served at this path"));
  CHECK(f.folder.text("x.sock") == "precious");
}

TEST_CASE("a path that is no socket address is refused") {
  CHECK_THROWS_WITH(listenUnix("", 8), doctest::Contains("1 to 107 bytes"));
  CHECK_THROWS_WITH(listenUnix(kj::str(kj::repeat('x', 108)), 8), doctest::Contains("1 to 107 bytes"));
  CHECK_THROWS_WITH(listenUnix("no/such/folder/socket", 8), doctest::Contains("nothing can be served"));
}

}  // namespace
}  // namespace nexus
