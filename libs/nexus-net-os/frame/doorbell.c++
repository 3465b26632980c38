#include "libs/nexus-net-os/frame/doorbell.h"

#include <errno.h>
#include <kj/debug.h>
#include <sys/socket.h>

namespace nexus {

DoorbellFds newDoorbell() {
  int ends[2];
  KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
  return {kj::AutoCloseFd(ends[0]), kj::AutoCloseFd(ends[1])};
}

void Doorbell::ring() {
  rings++;
  // EAGAIN: hundreds of rings are unanswered, one more says nothing. EPIPE: nobody listens; the end of the attachment
  // is on its way.
  kj::byte byte = 0;
  (void)send(fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

DoorbellListener::DoorbellListener(kj::UnixEventPort& eventPort, kj::AutoCloseFd descriptor)
    : fd(kj::mv(descriptor)), observer(eventPort, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ) {}

DoorbellListener::Heard DoorbellListener::drain() {
  kj::byte bytes[512];
  ssize_t count = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  more = count == sizeof(bytes);
  if (count > 0) return Heard::RUNG;
  if (count == 0) return Heard::GONE;
  KJ_REQUIRE(errno == EAGAIN || errno == EINTR, "the doorbell cannot be read", strerror(errno));
  return Heard::NOTHING;
}

kj::Promise<void> DoorbellListener::whenRung() {
  if (more) {
    (void)drain();
    co_return;
  }
  for (;;) {
    switch (drain()) {
      case Heard::RUNG:
        co_return;
      case Heard::GONE:
        co_await kj::Promise<void>(kj::NEVER_DONE);
        break;
      case Heard::NOTHING:
        co_await observer.whenBecomesReadable();
        break;
    }
  }
}

}  // namespace nexus
