#include "libs/nexus-net-os/vfio/eventfd-interrupt.h"

#include <kj/debug.h>
#include <unistd.h>

namespace nexus {

EventFdInterrupt::EventFdInterrupt(kj::UnixEventPort& eventPort, kj::AutoCloseFd fdParam)
    : fd(kj::mv(fdParam)), observer(eventPort, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ) {}

kj::Promise<void> EventFdInterrupt::whenFired() {
  // The observer reports edges: only what comes after the descriptor was found empty.
  drain();
  if (pending) return kj::READY_NOW;
  return observer.whenBecomesReadable();
}

bool EventFdInterrupt::take() {
  drain();
  bool fired = pending;
  pending = false;
  return fired;
}

void EventFdInterrupt::drain() {
  uint64_t count;
  ssize_t n;
  KJ_NONBLOCKING_SYSCALL(n = read(fd, &count, sizeof(count)));
  if (n == sizeof(count)) pending = true;
}

}  // namespace nexus
