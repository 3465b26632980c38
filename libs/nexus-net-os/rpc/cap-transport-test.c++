#include "libs/nexus-net-os/rpc/cap-transport.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <sys/mman.h>
#include <unistd.h>

#include "idl/nic.capnp.h"
#include "libs/nexus-net-os/rpc/cap-reconnect.h"
#include "libs/nexus-net-os/rpc/fd-cap.h"

namespace nexus {
namespace {

// Answers one method and hands out one descriptor; says when it was dropped.
class TestAttachment final : public idl::Attachment::Server {
 public:
  explicit TestAttachment(bool& dropped) : dropped(dropped) {}
  ~TestAttachment() noexcept(false) { dropped = true; }

  kj::Promise<void> start(StartContext) override { return kj::READY_NOW; }
  kj::Promise<void> memory(MemoryContext context) override {
    int fd;
    KJ_SYSCALL(fd = memfd_create("test", MFD_CLOEXEC));
    KJ_SYSCALL(ftruncate(fd, 4711));
    context.getResults().setBuffers(newFdCap(kj::AutoCloseFd(fd)));
    return kj::READY_NOW;
  }

 private:
  bool& dropped;
};

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  bool dropped = false;
  kj::uint made = 0;

  CapServer::Factory factory() {
    return [this](const PeerCredentials&) -> capnp::Capability::Client {
      made++;
      return kj::heap<TestAttachment>(dropped);
    };
  }
};

TEST_CASE("a client's bootstrap object dies with its connection") {
  Fixture f;
  CapServer server(f.factory());
  auto pipe = f.io.provider->newCapabilityPipe();
  server.accept(kj::mv(pipe.ends[0]));
  {
    CapConnection client(kj::mv(pipe.ends[1]));
    auto attachment = client.bootstrap().castAs<idl::Attachment>();
    attachment.startRequest().send().wait(f.io.waitScope);
    CHECK(server.connectionCount() == 1);
    CHECK_FALSE(f.dropped);
  }
  while (!f.dropped) f.io.waitScope.poll(), kj::evalLast([] {}).wait(f.io.waitScope);
  CHECK(server.connectionCount() == 0);
}

TEST_CASE("a file descriptor travels inside a capability") {
  Fixture f;
  CapServer server(f.factory());
  auto pipe = f.io.provider->newCapabilityPipe();
  server.accept(kj::mv(pipe.ends[0]));
  CapConnection client(kj::mv(pipe.ends[1]));
  auto memory = client.bootstrap().castAs<idl::Attachment>().memoryRequest().send().wait(f.io.waitScope);
  auto fd = takeFd(memory.getBuffers()).wait(f.io.waitScope);
  CHECK(lseek(fd, 0, SEEK_END) == 4711);
  CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("the bootstrap object of a connection that has ended fails its calls, as often as it is asked for") {
  Fixture f;
  auto pipe = f.io.provider->newCapabilityPipe();
  CapConnection client(kj::mv(pipe.ends[1]));
  auto pending = client.bootstrap().castAs<idl::Attachment>().startRequest().send();
  pipe.ends[0] = nullptr;
  CHECK_THROWS_AS(pending.wait(f.io.waitScope), kj::Exception);
  // Before anybody has noticed, and after.
  for (int i = 0; i < 3; i++) {
    try {
      client.bootstrap().castAs<idl::Attachment>().startRequest().send().wait(f.io.waitScope);
      FAIL("an answer from nobody");
    } catch (const kj::Exception& e) {
      CHECK(e.getType() == kj::Exception::Type::DISCONNECTED);
    }
    client.onDisconnect().wait(f.io.waitScope);
  }
}

TEST_CASE("a connection above the bound is closed and counted") {
  Fixture f;
  CapServer server(f.factory(), {.maxConnections = 1});
  auto first = f.io.provider->newCapabilityPipe(), second = f.io.provider->newCapabilityPipe();
  server.accept(kj::mv(first.ends[0]));
  server.accept(kj::mv(second.ends[0]));
  CHECK(server.refusedCount() == 1);
  CapConnection one(kj::mv(first.ends[1])), two(kj::mv(second.ends[1]));
  one.bootstrap().castAs<idl::Attachment>().startRequest().send().wait(f.io.waitScope);
  CHECK_THROWS(two.bootstrap().castAs<idl::Attachment>().startRequest().send().wait(f.io.waitScope));
}

TEST_CASE("a reconnecting import connects again after its server went away") {
  Fixture f;
  auto server = kj::heap<CapServer>(f.factory());
  CapReconnect import([&]() -> kj::Promise<kj::Own<kj::AsyncCapabilityStream>> {
    auto pipe = f.io.provider->newCapabilityPipe();
    server->accept(kj::mv(pipe.ends[0]));
    return kj::mv(pipe.ends[1]);
  });
  import.get<idl::Attachment>().startRequest().send().wait(f.io.waitScope);
  auto lost = import.whenLost();
  CHECK_FALSE(lost.poll(f.io.waitScope));
  server = kj::heap<CapServer>(f.factory());
  lost.wait(f.io.waitScope);
  import.get<idl::Attachment>().startRequest().send().wait(f.io.waitScope);
  CHECK(f.made == 2);
  CHECK(import.connectCount() == 2);
}

TEST_CASE("after the connection has ended its bootstrap object is DISCONNECTED, however often it is asked for") {
  Fixture f;
  auto server = kj::heap<CapServer>(f.factory());
  auto pipe = f.io.provider->newCapabilityPipe();
  server->accept(kj::mv(pipe.ends[0]));
  CapConnection client(kj::mv(pipe.ends[1]));
  client.bootstrap().castAs<idl::Attachment>().startRequest().send().wait(f.io.waitScope);
  server = nullptr;
  client.onDisconnect().wait(f.io.waitScope);
  for (int i = 0; i < 3; i++) {
    auto failure = kj::runCatchingExceptions([&] {
      client.bootstrap().castAs<idl::Attachment>().startRequest().send().wait(f.io.waitScope);
    });
    CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::DISCONNECTED);
    f.io.waitScope.poll();
  }
}

TEST_CASE("a failure to connect is the failure of the call") {
  Fixture f;
  CapReconnect import(unixConnector(f.io.provider->getNetwork(), "/nonexistent/socket"));
  CHECK_THROWS(import.get<idl::Attachment>().startRequest().send().wait(f.io.waitScope));
}

}  // namespace
}  // namespace nexus
