#include "daemons/initd/listen-socket.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace nexus {
namespace {

// A folder of our own; Unix socket paths are short.
struct Folder {
  char path[32] = "/tmp/nexus-XXXXXX";
  Folder() { KJ_REQUIRE(mkdtemp(path) != nullptr); }
  ~Folder() { rmdir(path); }
};

TEST_CASE("the socket is its client's alone, and takes a connection before anybody accepts") {
  Folder folder;
  auto path = kj::str(folder.path, "/nic.sock");
  auto listener = listenFor(path, getuid());
  KJ_DEFER(unlink(path.cStr()));
  struct stat info;
  KJ_SYSCALL(lstat(path.cStr(), &info));
  CHECK(S_ISSOCK(info.st_mode));
  CHECK((info.st_mode & 07777) == 0600);
  CHECK(info.st_uid == getuid());

  int fd;
  KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd client(fd);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.begin(), path.size());
  CHECK(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
}

TEST_CASE("a path that is taken or too long is an error that names it") {
  Folder folder;
  auto path = kj::str(folder.path, "/x.sock");
  auto listener = listenFor(path, getuid());
  KJ_DEFER(unlink(path.cStr()));
  CHECK_THROWS_AS(listenFor(path, getuid()), kj::Exception);
  CHECK_THROWS_AS(listenFor(kj::str('/', kj::repeat('x', 120)), getuid()), kj::Exception);
}

}  // namespace
}  // namespace nexus
