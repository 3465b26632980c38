#include "libs/nexus-net-os/rpc/cap-transport.h"

#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
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

// Counts calls of transmit, which wait until they are let go, and gives frames of any size.
class TestNic final : public idl::Nic::Server {
 public:
  struct State {
    kj::uint calls = 0;
    size_t frameBytes = 0;
    kj::PromiseFulfillerPair<void> go = kj::newPromiseAndFulfiller<void>();
    kj::ForkedPromise<void> gone = go.promise.fork();
  };
  explicit TestNic(State& state) : state(state) {}

  kj::Promise<void> transmit(TransmitContext) override {
    state.calls++;
    return state.gone.addBranch();
  }
  kj::Promise<void> receive(ReceiveContext context) override {
    context.getResults().initFrame(state.frameBytes);
    return kj::READY_NOW;
  }

 private:
  State& state;
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

// The other end of a connection, by hand.
struct Raw {
  kj::AsyncIoContext& io;
  capnp::AsyncCapabilityMessageStream messages;
  kj::Own<capnp::MessageReader> last;

  Raw(kj::AsyncIoContext& io, kj::AsyncCapabilityStream& stream) : io(io), messages(stream) {}

  capnp::rpc::Message::Reader read() {
    last = messages.readMessage().wait(io.waitScope);
    return last->getRoot<capnp::rpc::Message>();
  }
  template <typename Fill>
  void write(Fill&& fill) {
    capnp::MallocMessageBuilder builder;
    fill(builder.initRoot<capnp::rpc::Message>());
    messages.writeMessage(builder).wait(io.waitScope);
  }
};
constexpr auto FIFTH_KIND = static_cast<capnp::rpc::Exception::Type>(4);

TEST_CASE("an exception of a fifth kind from a server ends the connection, and callers see one of the four") {
  Fixture f;
  auto pipe = f.io.provider->newCapabilityPipe();
  Raw server(f.io, *pipe.ends[0]);
  CapConnection client(kj::mv(pipe.ends[1]));
  auto pending = client.bootstrap().castAs<idl::Attachment>().startRequest().send().then(
      [](auto&&) { return kj::str("an answer"); }, [](kj::Exception&& e) { return kj::str(e); });
  server.read();
  auto id = server.read().getCall().getQuestionId();
  server.write([&](capnp::rpc::Message::Builder m) {
    auto answer = m.initReturn();
    answer.setAnswerId(id);
    answer.initException().setType(FIFTH_KIND);
  });
  auto said = pending.wait(f.io.waitScope);
  INFO(said.cStr());
  CHECK(strstr(said.cStr(), "disconnected: ") != nullptr);
  CHECK(strstr(said.cStr(), "an exception of an unknown kind") != nullptr);
  client.onDisconnect().wait(f.io.waitScope);
}

TEST_CASE("an exception of a fifth kind from a client ends its connection") {
  Fixture f;
  CapServer server(f.factory());
  auto pipe = f.io.provider->newCapabilityPipe();
  Raw client(f.io, *pipe.ends[1]);
  server.accept(kj::mv(pipe.ends[0]));
  client.write([](capnp::rpc::Message::Builder m) { m.initAbort().setType(FIFTH_KIND); });
  auto answer = client.read();
  REQUIRE(answer.isAbort());
  CHECK(strstr(answer.getAbort().getReason().cStr(), "an exception of an unknown kind") != nullptr);
  CHECK(answer.getAbort().getType() == capnp::rpc::Exception::Type::FAILED);
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

// A Nic behind a server and its client, with their limits.
struct NicFixture : Fixture {
  TestNic::State state;
  CapServer server;
  CapConnection client{connect()};
  idl::Nic::Client nic = client.bootstrap().castAs<idl::Nic>();

  explicit NicFixture(const RpcLimits& limits = {})
      : server([this](const PeerCredentials&) -> capnp::Capability::Client { return kj::heap<TestNic>(state); },
               limits) {}

  kj::Own<kj::AsyncCapabilityStream> connect() {
    auto pipe = io.provider->newCapabilityPipe();
    server.accept(kj::mv(pipe.ends[0]));
    return kj::mv(pipe.ends[1]);
  }

  kj::Promise<void> transmit(size_t bytes) {
    auto request = nic.transmitRequest();
    request.initFrame(bytes);
    return request.send().ignoreResult().eagerlyEvaluate(nullptr);
  }
};

constexpr size_t MIB = 1024 * 1024;

TEST_CASE("a message above the server's bound of 4 MiB ends its connection before anybody is called") {
  NicFixture f;
  f.state.go.fulfiller->fulfill();
  f.transmit(4 * MIB - 4096).wait(f.io.waitScope);
  CHECK(f.state.calls == 1);
  CHECK_THROWS(f.transmit(4 * MIB).wait(f.io.waitScope));
  CHECK(f.state.calls == 1);
  f.client.onDisconnect().wait(f.io.waitScope);
}

TEST_CASE("a client reads a reply of 16 MiB, the largest in the schemas") {
  NicFixture f(RpcLimits::forLargeMessages());
  f.state.frameBytes = 16 * MIB;
  CHECK(f.nic.receiveRequest().send().wait(f.io.waitScope).getFrame().size() == 16 * MIB);
}

TEST_CASE("unanswered calls of 4 MiB in all stop the reading from their connection, and answers let it go on") {
  NicFixture f;
  kj::Vector<kj::Promise<void>> calls;
  for (int i = 0; i < 10; i++) calls.add(f.transmit(MIB));
  while (f.state.calls < 4) f.io.waitScope.poll(), kj::evalLast([] {}).wait(f.io.waitScope);
  for (int i = 0; i < 1000; i++) f.io.waitScope.poll(), kj::evalLast([] {}).wait(f.io.waitScope);
  CHECK(f.state.calls <= 5);
  f.state.go.fulfiller->fulfill();
  kj::joinPromises(calls.releaseAsArray()).wait(f.io.waitScope);
  CHECK(f.state.calls == 10);
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
    auto failure = kj::runCatchingExceptions(
        [&] { client.bootstrap().castAs<idl::Attachment>().startRequest().send().wait(f.io.waitScope); });
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
