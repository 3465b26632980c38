#include "libs/nexus-net-os/base/unix-listen.h"

#include <errno.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace nexus {

namespace {

kj::AutoCloseFd newSocket() {
  int fd;
  KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return kj::AutoCloseFd(fd);
}

// Whether nobody will ever accept there. A full backlog (EAGAIN) is somebody, and so is a socket that this user may not
// connect to.
bool isDead(const sockaddr_un& address) {
  auto probe = newSocket();
  bool answered = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  return !answered && (errno == ECONNREFUSED || errno == ENOENT);
}

}  // namespace

kj::AutoCloseFd listenUnix(kj::StringPtr path, int backlog) {
  sockaddr_un address{};
  static_assert(sizeof(address.sun_path) == MAX_SOCKET_PATH + 1);
  address.sun_family = AF_UNIX;
  KJ_REQUIRE(path.size() > 0 && path.size() <= MAX_SOCKET_PATH, "a socket path has 1 to 107 bytes", path);
  memcpy(address.sun_path, path.begin(), path.size());
  struct stat existing;
  if (lstat(path.cStr(), &existing) == 0 && S_ISSOCK(existing.st_mode)) {
    KJ_REQUIRE(isDead(address), "another process serves at this path: stop it first, or choose another path", path);
    unlink(path.cStr());
  }
  auto result = newSocket();
  auto before = umask(0177);  // for the owner alone
  KJ_DEFER(umask(before));
  if (bind(result, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    KJ_FAIL_REQUIRE("nothing can be served at this path", path, strerror(errno));
  }
  KJ_SYSCALL(listen(result, backlog), path);
  return result;
}

}  // namespace nexus
