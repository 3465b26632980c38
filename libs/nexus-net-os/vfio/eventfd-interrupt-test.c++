#include "libs/nexus-net-os/vfio/eventfd-interrupt.h"

#include <doctest/doctest.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace nexus {
namespace {

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::AutoCloseFd line;  // the kernel's end
  kj::Own<EventFdInterrupt> interrupt;

  Fixture() {
    int fd;
    KJ_SYSCALL(fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    int copy;
    KJ_SYSCALL(copy = dup(fd));
    line = kj::AutoCloseFd(copy);
    interrupt = kj::heap<EventFdInterrupt>(io.unixEventPort, kj::AutoCloseFd(fd));
  }

  void fire() {
    uint64_t one = 1;
    ssize_t n;
    KJ_SYSCALL(n = write(line, &one, sizeof(one)));
  }
};

TEST_CASE("an interrupt wakes its waiter and is taken once") {
  Fixture f;
  CHECK_FALSE(f.interrupt->take());
  for (int i = 0; i < 3; i++) {
    auto fired = f.interrupt->whenFired();
    CHECK_FALSE(fired.poll(f.io.waitScope));
    f.fire();
    f.fire();
    fired.wait(f.io.waitScope);
    CHECK(f.interrupt->take());
    CHECK_FALSE(f.interrupt->take());
  }
}

TEST_CASE("an interrupt that fired before the wait resolves it at once, until it is taken") {
  Fixture f;
  f.fire();
  CHECK(f.interrupt->whenFired().poll(f.io.waitScope));
  CHECK(f.interrupt->whenFired().poll(f.io.waitScope));
  CHECK(f.interrupt->take());
  CHECK_FALSE(f.interrupt->whenFired().poll(f.io.waitScope));
}

TEST_CASE("a cancelled wait loses no interrupt") {
  Fixture f;
  {
    auto fired = f.interrupt->whenFired();
    CHECK_FALSE(fired.poll(f.io.waitScope));
  }
  f.fire();
  // The event loop sees the edge while nobody waits.
  kj::evalLast([]() {}).wait(f.io.waitScope);
  f.io.waitScope.poll();
  CHECK(f.interrupt->whenFired().poll(f.io.waitScope));
}

}  // namespace
}  // namespace nexus
