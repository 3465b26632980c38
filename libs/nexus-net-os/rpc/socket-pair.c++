#include "libs/nexus-net-os/rpc/socket-pair.h"

#include <kj/debug.h>
#include <sys/socket.h>

namespace nexus {

SocketPair newSocketPair() {
  int fds[2];
  KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  return {{kj::AutoCloseFd(fds[0]), kj::AutoCloseFd(fds[1])}};
}

}  // namespace nexus
