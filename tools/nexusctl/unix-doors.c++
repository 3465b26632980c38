#include "tools/nexusctl/unix-doors.h"

#include <errno.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace nexus::ctl {

namespace {

Closed reasonOf(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return Closed::FORBIDDEN;
    case EAGAIN:
      return Closed::BUSY;
    case ECONNREFUSED:
      return Closed::NOT_RUNNING;
    default:
      return Closed::NO_SOCKET;
  }
}

}  // namespace

// kj's connect() would fold all reasons into one exception, and wait for a full backlog.
kj::OneOf<capnp::Capability::Client, Closed> UnixDoors::open(kj::StringPtr path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Closed::NO_SOCKET;
  memcpy(address.sun_path, path.begin(), path.size());
  int raw;
  KJ_SYSCALL(raw = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  kj::AutoCloseFd fd(raw);
  if (connect(raw, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return reasonOf(errno);
  auto& connection = connections.add(kj::heap<CapConnection>(io.lowLevelProvider->wrapUnixSocketFd(
      kj::mv(fd), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC | kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK)));
  return connection->bootstrap();
}

}  // namespace nexus::ctl
