#include "daemons/initd/listen-socket.h"

#include <kj/debug.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace nexus {

kj::AutoCloseFd listenFor(kj::StringPtr path, ServiceUid client) {
  constexpr int BACKLOG = 64;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  KJ_REQUIRE(path.size() < sizeof(address.sun_path), "the socket path is too long", path);
  memcpy(address.sun_path, path.begin(), path.size());
  int fd;
  KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  kj::AutoCloseFd result(fd);
  auto before = umask(0177);
  KJ_DEFER(umask(before));
  KJ_SYSCALL(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), path);
  KJ_SYSCALL(chown(path.cStr(), client, client), path);
  KJ_SYSCALL(listen(fd, BACKLOG), path);  // last: nobody connects before the owner is right
  return result;
}

}  // namespace nexus
