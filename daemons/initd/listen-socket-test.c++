#include "daemons/initd/listen-socket.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libs/nexus-net-os/testing/temporary-folder.h"

namespace nexus {
namespace {

TEST_CASE("the socket is its client's alone, and takes a connection before anybody accepts") {
  TemporaryFolder folder(TemporaryFolder::For::SOCKETS);
  auto path = folder.file("nic.sock");
  auto listener = listenFor(path, getuid());
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
  TemporaryFolder folder(TemporaryFolder::For::SOCKETS);
  auto path = folder.file("x.sock");
  auto listener = listenFor(path, getuid());
  CHECK_THROWS_AS(listenFor(path, getuid()), kj::Exception);
  CHECK_THROWS_AS(listenFor(kj::str('/', kj::repeat('x', 120)), getuid()), kj::Exception);
}

}  // namespace
}  // namespace nexus
