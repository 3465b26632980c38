#include "libs/nexus-net-os/frame/doorbell.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <unistd.h>

namespace nexus {
namespace {

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  DoorbellFds fds = newDoorbell();
};

TEST_CASE("a ring wakes the listener, once for any number of rings before it looks") {
  Fixture f;
  Doorbell bell(kj::mv(f.fds.ring));
  DoorbellListener listener(f.io.unixEventPort, kj::mv(f.fds.listen));
  auto rung = listener.whenRung();
  CHECK_FALSE(rung.poll(f.io.waitScope));
  bell.ring();
  bell.ring();
  rung.wait(f.io.waitScope);
  auto again = listener.whenRung();
  CHECK_FALSE(again.poll(f.io.waitScope));
  bell.ring();
  again.wait(f.io.waitScope);
}

TEST_CASE("a ring before the listener waits is not lost, and neither is one after a cancelled wait") {
  Fixture f;
  Doorbell bell(kj::mv(f.fds.ring));
  DoorbellListener listener(f.io.unixEventPort, kj::mv(f.fds.listen));
  bell.ring();
  listener.whenRung().wait(f.io.waitScope);
  {
    auto cancelled = listener.whenRung();
    CHECK_FALSE(cancelled.poll(f.io.waitScope));
  }
  bell.ring();
  listener.whenRung().wait(f.io.waitScope);
}

TEST_CASE("neither side can block the other, even one that kept a duplicate of its end and made it blocking") {
  Fixture f;
  KJ_SYSCALL(fcntl(f.fds.ring, F_SETFL, 0));
  KJ_SYSCALL(fcntl(f.fds.listen, F_SETFL, 0));
  DoorbellListener listener(f.io.unixEventPort, kj::mv(f.fds.listen));
  auto rung = listener.whenRung();
  CHECK_FALSE(rung.poll(f.io.waitScope));  // an empty, blocking socket
  Doorbell bell(kj::mv(f.fds.ring));
  for (int i = 0; i < 10'000; i++) bell.ring();  // far more than the socket holds
  CHECK(bell.ringCount() == 10'000);
  rung.wait(f.io.waitScope);
}

TEST_CASE("a flooded bell keeps waking, in bounded bites, and then stops") {
  Fixture f;
  Doorbell bell(kj::mv(f.fds.ring));
  DoorbellListener listener(f.io.unixEventPort, kj::mv(f.fds.listen));
  for (int i = 0; i < 10'000; i++) bell.ring();  // the socket keeps what it has room for
  kj::uint wakes = 0;
  for (;;) {
    auto rung = listener.whenRung();
    if (!rung.poll(f.io.waitScope)) break;
    wakes++;
    REQUIRE(wakes < 100);
  }
  CHECK(wakes >= 1);
  auto rung = listener.whenRung();
  bell.ring();
  rung.wait(f.io.waitScope);
}

TEST_CASE("when the ringing end is gone the listener waits in silence, and a bell without listener is silent") {
  Fixture f;
  DoorbellListener listener(f.io.unixEventPort, kj::mv(f.fds.listen));
  f.fds.ring = nullptr;
  auto rung = listener.whenRung();
  CHECK_FALSE(rung.poll(f.io.waitScope));
  auto other = newDoorbell();
  Doorbell bell(kj::mv(other.ring));
  other.listen = nullptr;
  bell.ring();
}

TEST_CASE("a descriptor that is no bell fails at the listener and does nothing at the ringer") {
  Fixture f;
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
  DoorbellListener listener(f.io.unixEventPort, kj::AutoCloseFd(ends[0]));
  Doorbell bell{kj::AutoCloseFd(ends[1])};
  bell.ring();
  CHECK_THROWS(listener.whenRung().wait(f.io.waitScope));
}

}  // namespace
}  // namespace nexus
