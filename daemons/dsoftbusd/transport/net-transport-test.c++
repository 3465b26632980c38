#include "daemons/dsoftbusd/transport/net-transport.h"

#include "daemons/dsoftbusd/session/handshake.h"
#include "daemons/dsoftbusd/session/session.h"
#include "daemons/netstackd/netstack-fixture.h"

namespace nexus {
namespace {

using Type = kj::Exception::Type;
const SocketAddress WHERE{IpAddress::v4(10, 42, 0, 10), 34567};

enum class Way { DESCRIPTORS, CALLS_ASKED, CALLS };  // asked: the stack says that it has no descriptors

// Both ends on one netstackd, each with a connection of its own to it.
struct Fixture : NetFixture {
  // As `server`, but it can die.
  kj::Own<CapServer> netstackd = kj::heap<CapServer>([this](const PeerCredentials&) -> capnp::Capability::Client {
    return newNetworkManager(*node, NetPolicy::allowEverything());
  });
  kj::Own<CapConnection> dialler = connected(), listening = connected();
  kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
  kj::Own<Transport> transport;
  kj::Own<Acceptor> acceptor;

  explicit Fixture(Way way) {
    if (way != Way::CALLS) lowLevel = *clock.io.lowLevelProvider;
    if (way == Way::CALLS_ASKED) node->lowLevel = nullptr;
    transport = newNetTransport(managerOf(*dialler), lowLevel);
    acceptor = newNetAcceptor(listen(managerOf(*listening), "*:34567"), lowLevel);
  }

  kj::Own<CapConnection> connected() {
    auto pipe = clock.io.provider->newCapabilityPipe();
    netstackd->accept(kj::mv(pipe.ends[0]));
    return kj::heap<CapConnection>(kj::mv(pipe.ends[1]));
  }
  kj::Own<kj::AsyncIoStream> dial() {
    auto dialled = clock.run(transport->dial(WHERE));
    REQUIRE(dialled.is<kj::Own<kj::AsyncIoStream>>());
    return kj::mv(dialled.get<kj::Own<kj::AsyncIoStream>>());
  }
  void write(kj::AsyncIoStream& stream, kj::StringPtr text) { clock.run(stream.write(text.begin(), text.size())); }
  kj::String read(kj::AsyncIoStream& stream, size_t n) {
    auto text = kj::heapString(n);
    clock.run(stream.read(text.begin(), n));
    return text;
  }
};

// Every way has to do the same.
template <typename Test>
void eachWay(Test&& test) {
  for (auto way : {Way::DESCRIPTORS, Way::CALLS_ASKED, Way::CALLS}) {
    CAPTURE(static_cast<int>(way));
    Fixture f(way);
    test(f);
    CHECK((f.node->counters.streams > 0) == (way == Way::DESCRIPTORS));
  }
}

TEST_CASE("the bytes of a connection go through a descriptor where the stack has one, else through calls") {
  eachWay([](Fixture& f) {
    auto near = f.dial();
    auto accepted = f.clock.run(f.acceptor->accept());
    CHECK(accepted.remote.address == WHERE.address);
    f.write(*near, "there");
    CHECK(f.read(*accepted.stream, 5) == "there");
    f.write(*accepted.stream, "back");
    CHECK(f.read(*near, 4) == "back");
    near->shutdownWrite();
    CHECK(f.clock.run(accepted.stream->readAllText()) == "");
    f.write(*accepted.stream, "after the end of the other direction");
    accepted.stream = nullptr;
    CHECK(f.clock.run(near->readAllText()) == "after the end of the other direction");
  });
}

TEST_CASE("a dial that is refused is a result whichever way the bytes would go") {
  eachWay([](Fixture& f) {
    auto dialled = f.clock.run(f.transport->dial({WHERE.address, 9}));
    REQUIRE(dialled.is<DialFailure>());
    CHECK(dialled.get<DialFailure>().reason == "connection refused");
    auto one = f.dial();  // for the count
  });
}

TEST_CASE("a reader that stops stops the writer") {
  eachWay([](Fixture& f) {
    auto near = f.dial();
    auto far = f.clock.run(f.acceptor->accept()).stream;
    auto data = pattern(16 << 20);
    auto writing = near->write(data.begin(), data.size()).eagerlyEvaluate(nullptr);
    CHECK(f.clock.stays(writing, 10 * kj::SECONDS));
    auto back = kj::heapArray<kj::byte>(data.size());
    f.clock.run(far->read(back.begin(), back.size()));
    CHECK(back == data);
    f.clock.run(kj::mv(writing));
  });
}

TEST_CASE("an accept that is cancelled at any moment loses no connection") {
  eachWay([](Fixture& f) {
    kj::uint taken = 0, left = 0;
    for (int turns = 0; turns < 40; turns++) {
      kj::Maybe<kj::Own<kj::AsyncIoStream>> got;
      auto accepting = f.acceptor->accept().then([&](auto&& a) { got = kj::mv(a.stream); }).eagerlyEvaluate(nullptr);
      auto dialling = f.transport->dial(WHERE);
      for (int i = 0; i < turns; i++) f.clock.io.waitScope.poll(1);
      {
        auto drop = kj::mv(accepting);
      }
      (got == nullptr ? left : taken)++;
      auto near = f.clock.run(kj::mv(dialling));
      if (got == nullptr) got = f.clock.run(f.acceptor->accept()).stream;
      f.write(*near.get<kj::Own<kj::AsyncIoStream>>(), "x");
      CHECK(f.read(*KJ_ASSERT_NONNULL(got), 1) == "x");
    }
    CAPTURE(taken);
    CHECK(left > 5);
  });
}

TEST_CASE("a dial that is cancelled at any moment leaves no connection behind") {
  eachWay([](Fixture& f) {
    for (int turns = 0; turns < 40; turns++) {
      auto dialling = f.transport->dial(WHERE);
      for (int i = 0; i < turns; i++) f.clock.io.waitScope.poll(1);
    }
    f.transport = nullptr;
    f.clock.settle();
    auto waiting = f.acceptor->accept();
    while (waiting.poll(f.clock.io.waitScope)) {
      auto far = waiting.wait(f.clock.io.waitScope).stream;
      CHECK(f.clock.run(far->readAllText().catch_([](kj::Exception&&) { return kj::String(); })) == "");
      far = nullptr;
      waiting = f.acceptor->accept();
      f.clock.settle();
    }
    f.clock.settle();
    CHECK(f.node->counters.streamsNow == 0);
    f.transport = newNetTransport(f.managerOf(*f.dialler), f.lowLevel);
    auto one = f.dial();  // for the count
  });
}

TEST_CASE("when the stack dies the streams end, dials and accepts fail as disconnected") {
  eachWay([](Fixture& f) {
    auto near = f.dial();
    auto far = f.clock.run(f.acceptor->accept()).stream;
    auto reading = far->readAllText().catch_([](kj::Exception&& exception) {
      CHECK(exception.getType() == Type::DISCONNECTED);
      return kj::str();
    });
    auto accepting = f.acceptor->accept();
    CHECK(f.clock.stays(reading));
    f.netstackd = nullptr;
    CHECK(f.clock.run(kj::mv(reading)) == "");
    CHECK(f.typeOf(accepting.ignoreResult()) == Type::DISCONNECTED);
    CHECK(f.typeOf(f.transport->dial(WHERE).ignoreResult()) == Type::DISCONNECTED);
  });
}

class NoService final : public RequestHandler {
 public:
  kj::Promise<RemoteReply> handle(kj::ArrayPtr<const char>, kj::ArrayPtr<const kj::byte>) override {
    return RemoteReply{CallStatus::DENIED, 0, nullptr};
  }
};

TEST_CASE("a session ends at once when the stack under it dies, and a call that waits is told") {
  eachWay([](Fixture& f) {
    auto nearKeys = DeviceIdentity::forTest("near"), farKeys = DeviceIdentity::forTest("far");
    auto near =
        initiateHandshake(f.dial(), nearKeys, ExpectedPeer::of(farKeys.publicIdentity()), f.clock.timer, f.entropy);
    auto far = respondToHandshake(f.clock.run(f.acceptor->accept()).stream, farKeys, f.clock.timer, f.entropy);
    auto initiated = f.clock.run(kj::mv(near)), responded = f.clock.run(kj::mv(far));
    REQUIRE(initiated.is<HandshakeDone>());
    REQUIRE(responded.is<HandshakeDone>());
    NoService none;
    auto session = kj::refcounted<Session>(kj::mv(initiated.get<HandshakeDone>().channel), MuxRole::INITIATOR,
                                           static_cast<RequestHandler&>(none), f.clock.timer, [] {});
    auto running = session->run();
    CHECK(f.clock.stays(running, 100 * kj::MILLISECONDS));
    auto ping = session->ping(nullptr).ignoreResult();  // nobody answers
    auto before = f.clock.timer.now();
    f.netstackd = nullptr;
    auto end = f.clock.run(kj::mv(running));
    CHECK(f.clock.timer.now() - before < kj::SECONDS);
    CAPTURE(end.why);
    CHECK(end.peerReason == nullptr);
    CHECK(f.typeOf(kj::mv(ping)) == Type::DISCONNECTED);
  });
}

}  // namespace
}  // namespace nexus
