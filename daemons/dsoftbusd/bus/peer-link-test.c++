// Which of two connections a link keeps, when it lets go of one, and how often it dials.
#include "daemons/dsoftbusd/bus/peer-link.h"

#include <doctest/doctest.h>

#include <utility>

#include "daemons/dsoftbusd/bus/bus-fixture.h"

namespace nexus {
namespace {

using State = idl::SessionState;

const auto A = IpAddress::v4(10, 42, 0, 10), B = IpAddress::v4(10, 42, 0, 11), X = IpAddress::v4(10, 42, 0, 66);

// node-b has the lower device id of the two. On x is a machine that can do what either of them can.
struct Fixture {
  SimClock sim;
  SimNetwork network;
  kj::Own<BusNode> a, b;
  kj::Vector<kj::Own<DeviceIdentity>> keys;
  FixedEntropy entropy{99};

  static SimNetwork::Options patient() {
    SimNetwork::Options options;
    options.connectTimeout = 60 * kj::SECONDS;
    return options;
  }

  explicit Fixture(SimNetwork::Options options = patient()) : network(sim.timer, options) {
    network.addNode("node-a", A);
    network.addNode("node-b", B);
    network.addNode("x", X);
    static constexpr kj::StringPtr byA[] = {"node-b"_kj}, byB[] = {"node-a"_kj};
    a = kj::heap<BusNode>(sim, network, "node-a", A, kj::arrayPtr(byA, 1));
    b = kj::heap<BusNode>(sim, network, "node-b", B, kj::arrayPtr(byB, 1));
  }

  void connect() {
    a->knows(*b);
    sim.advance(1 * kj::SECONDS);
    REQUIRE(a->link("node-b").state() == State::READY);
  }
  void announce(BusNode& to, BusNode& of, SocketAddress at) {
    PeerRoute route{0, at};
    to.bus->setRoutes(of.own.deviceId(), kj::arrayPtr(&route, 1));
  }

  // A connection from x with the keys of that name, on which nothing was said yet.
  kj::Own<RecordChannel> reach(BusNode& node, kj::StringPtr identity) {
    keys.add(kj::heap<DeviceIdentity>(DeviceIdentity::forTest(identity)));
    auto transport = newNetTransport(network.manager("x"));
    auto dialled = sim.run(transport->dial(node.socketAddress()));
    auto result = sim.run(initiateHandshake(kj::mv(dialled.get<kj::Own<kj::AsyncIoStream>>()), *keys.back(),
                                            ExpectedPeer::of(node.own.publicIdentity()), sim.timer, entropy));
    auto channel = kj::mv(result.get<HandshakeDone>().channel);
    sim.advance(5 * kj::MILLISECONDS);
    return channel;
  }

  // A machine at X port 9 that takes connections.
  kj::Own<Acceptor> listenOnX() {
    auto manager = network.manager("x");
    auto request = manager.createTcpListenerRequest();
    request.getLocal().getAddress().setAny();
    request.getLocal().setPort(9);
    return newNetAcceptor(sim.run(request.send()).getListener());
  }

  // What comes on that connection within `span`; null: nothing.
  kj::Maybe<SessionMessage> next(RecordChannel& channel, kj::Duration span) {
    auto received = channel.receive();
    auto end = sim.timer.now() + span;
    while (!received.poll(sim.waitScope)) {
      if (sim.timer.now() >= end) return nullptr;
      sim.advance(1 * kj::MILLISECONDS);
    }
    auto result = received.wait(sim.waitScope);
    if (!result.is<RecordChannel::Message>()) return nullptr;
    last = kj::mv(result.get<RecordChannel::Message>());
    return tryParseSessionMessage(last.type, last.body);
  }
  CloseMessage closeWithin(RecordChannel& channel, kj::Duration span) {
    auto message = next(channel, span);
    REQUIRE(message != nullptr);
    REQUIRE(KJ_ASSERT_NONNULL(message).is<CloseMessage>());
    return KJ_ASSERT_NONNULL(message).get<CloseMessage>();
  }
  RecordChannel::Message last;

  TrustedPeer rotated(kj::StringPtr identity, kj::Duration grace) {
    auto entry = BusNode::entry("node-b", identity);
    entry.previous = PreviousIdentity{DeviceIdentity::forTest("node-b").publicIdentity(), sim.timer.now() + grace};
    return entry;
  }
};

// ---- the end of trust

TEST_CASE("a connection of the old key that waits beside the old key's session does not outlive it") {
  Fixture f;
  f.connect();
  auto session = f.a->session("node-b");
  f.network.cut("node-b");  // the probe has no answer
  auto waiting = f.reach(*f.a, "node-b");
  CHECK(f.a->link("node-b").counters().incoming == 1);
  f.a->bus->applyTrust(kj::arr(BusNode::entry("node-b", "node-b2")));
  auto close = f.closeWithin(*waiting, 10 * kj::MILLISECONDS);
  CHECK(close.reason == CloseReason::UNAUTHENTICATED);
  CHECK(close.auditId == f.a->audit.lastId());
  f.sim.advance(20 * kj::SECONDS);
  CHECK(session->hasEnded());
  CHECK(f.a->link("node-b").session() == nullptr);
  CHECK(f.a->observer.authenticated.size() == 1);
}

TEST_CASE("a connection of the old key that waits beside the new key's session ends with the grace") {
  Fixture f;
  f.a->bus->applyTrust(kj::arr(f.rotated("node-b2", 10 * kj::SECONDS)));
  f.b->stop();
  f.b->own = DeviceIdentity::forTest("node-b2");
  f.b->start();
  f.connect();
  auto session = f.a->session("node-b");
  f.sim.advance(8 * kj::SECONDS);
  f.network.cut("node-b");
  auto waiting = f.reach(*f.a, "node-b");
  auto close = f.closeWithin(*waiting, 1200 * kj::MILLISECONDS);  // before the probe is over
  CHECK(close.reason == CloseReason::UNAUTHENTICATED);
  CHECK(close.auditId == f.a->audit.lastId());
  f.network.heal("node-b");
  f.sim.advance(5 * kj::SECONDS);
  CHECK_FALSE(session->hasEnded());
}

TEST_CASE("a dial that nobody answers ends with the trust in its peer, and so does a handshake that hangs") {
  Fixture f;
  auto listening = f.listenOnX();
  SUBCASE("it waits for the connection") {
    f.network.cut("x");
  }
  SUBCASE("it waits for the second message") {}
  f.announce(*f.a, *f.b, {X, 9});
  f.sim.advance(100 * kj::MILLISECONDS);
  auto link = kj::addRef(f.a->link("node-b"));
  REQUIRE(link->state() != State::IDLE);
  f.a->bus->applyTrust(nullptr);
  f.sim.advance(10 * kj::MILLISECONDS);
  CHECK_FALSE(link->isShared());  // the bus has let go of it
}

// ---- two connections

TEST_CASE("a peer that connects again and says nothing replaces a session that does not answer, after two seconds") {
  Fixture f;
  f.connect();
  auto before = f.a->session("node-b");
  f.network.cut("node-b");
  auto waiting = f.reach(*f.a, "node-b");
  CHECK(f.next(*waiting, 1900 * kj::MILLISECONDS) == nullptr);
  CHECK_FALSE(before->hasEnded());
  f.sim.advance(1200 * kj::MILLISECONDS);  // the close record of the old one has a second to leave
  CHECK(before->hasEnded());
  auto first = f.next(*waiting, 10 * kj::MILLISECONDS);
  REQUIRE(first != nullptr);
  CHECK(KJ_ASSERT_NONNULL(first).is<PingMessage>());
  CHECK(f.a->observer.authenticated.size() == 2);
}

TEST_CASE("one that connects again while its session answers is told that it has one") {
  Fixture f;
  f.connect();
  auto before = f.a->session("node-b");
  auto waiting = f.reach(*f.a, "node-b");
  CHECK(f.closeWithin(*waiting, 10 * kj::MILLISECONDS).reason == CloseReason::SUPERSEDED);
  CHECK_FALSE(before->hasEnded());
  CHECK(f.a->link("node-b").counters().superseded == 1);
}

TEST_CASE("a dial that hangs does not keep the peer's own connection waiting, whichever id is lower") {
  Fixture f;
  f.network.cut("x");
  BusNode* waiter = f.a.get();
  BusNode* peer = f.b.get();
  SUBCASE("the peer's") {}
  SUBCASE("the own one") {
    std::swap(waiter, peer);
  }
  f.announce(*waiter, *peer, {X, 9});
  f.sim.advance(100 * kj::MILLISECONDS);
  REQUIRE(waiter->link(peer->name).state() == State::DIALING);
  peer->knows(*waiter);
  f.sim.advance(50 * kj::MILLISECONDS);
  CHECK(waiter->link(peer->name).state() == State::READY);
  CHECK(peer->link(waiter->name).state() == State::READY);
}

TEST_CASE("of two handshakes at once that of the lower device id is kept") {
  Fixture f;
  auto listening = f.listenOnX();
  FixedEntropy entropy{5};
  SUBCASE("the own id is lower: the own handshake goes on") {
    f.announce(*f.b, *f.a, {X, 9});
    auto accepted = f.sim.run(listening->accept());
    auto waiting = f.reach(*f.b, "node-a");
    REQUIRE(f.b->link("node-a").state() == State::HANDSHAKING);
    auto done = respondToHandshake(kj::mv(accepted.stream), f.a->own, f.sim.timer, entropy);
    CHECK(f.closeWithin(*waiting, 20 * kj::MILLISECONDS).reason == CloseReason::SUPERSEDED);
    auto result = f.sim.run(kj::mv(done));
    auto ping = f.next(*result.get<HandshakeDone>().channel, 20 * kj::MILLISECONDS);
    CHECK(KJ_ASSERT_NONNULL(ping).is<PingMessage>());
  }
  SUBCASE("the peer's id is lower: its connection is taken at once") {
    f.announce(*f.a, *f.b, {X, 9});
    auto accepted = f.sim.run(listening->accept());
    f.sim.advance(5 * kj::MILLISECONDS);
    REQUIRE(f.a->link("node-b").state() == State::HANDSHAKING);
    auto waiting = f.reach(*f.a, "node-b");
    auto ping = f.next(*waiting, 10 * kj::MILLISECONDS);
    REQUIRE(ping != nullptr);
    CHECK(KJ_ASSERT_NONNULL(ping).is<PingMessage>());
    auto done = f.sim.run(respondToHandshake(kj::mv(accepted.stream), f.b->own, f.sim.timer, entropy));
    CHECK(done.is<HandshakeFailure>());
  }
}

// ---- how often it dials

TEST_CASE("whatever is announced, a peer is dialled once a second at most") {
  Fixture f;
  for (int i = 0; i < 200; i++) {
    f.announce(*f.a, *f.b, {X, uint16_t(1000 + i)});  // nobody listens there
    f.sim.advance(50 * kj::MILLISECONDS);
  }
  CHECK(f.a->link("node-b").counters().dials >= 9);
  CHECK(f.a->link("node-b").counters().dials <= 13);  // the first delays are shorter than a second
}

TEST_CASE("a peer that takes each session and ends it is asked later each time, up to eight seconds") {
  Fixture f;
  auto listening = f.listenOnX();
  FixedEntropy entropy{5};
  kj::uint sessions = 0;
  auto serving = kj::evalLater([&]() -> kj::Promise<void> {
                   for (;;) {
                     auto accepted = co_await listening->accept();
                     auto result = co_await respondToHandshake(kj::mv(accepted.stream), f.b->own, f.sim.timer, entropy);
                     if (result.is<HandshakeDone>()) sessions++;
                   }
                 }).eagerlyEvaluate(nullptr);
  f.announce(*f.a, *f.b, {X, 9});
  f.sim.advance(60 * kj::SECONDS);
  CHECK(sessions >= 9);
  CHECK(sessions <= 13);  // 0, 1/4, 3/4, 7/4, 15/4, 31/4, 63/4 s, then every 8 s
  CHECK(f.a->link("node-b").counters().dials == sessions);
}

TEST_CASE("a peer with a new key that is only dialled by its configured address is reached by either of its keys") {
  for (auto identity : {"node-b"_kj, "node-b2"_kj}) {
    CAPTURE(identity);
    Fixture f;
    auto entry = f.rotated("node-b2", 60 * kj::SECONDS);
    entry.address = f.b->socketAddress();
    f.b->stop();
    f.b->own = DeviceIdentity::forTest(identity);
    f.b->start();
    f.a->bus->applyTrust(kj::arr(kj::mv(entry)));
    f.sim.advance(2 * kj::SECONDS);
    CHECK(f.a->link("node-b").state() == State::READY);
    CHECK(f.a->link("node-b").knownAs().deviceId == f.b->own.deviceId());
  }
}

}  // namespace
}  // namespace nexus
