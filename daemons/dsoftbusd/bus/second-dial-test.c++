// A peer that lost its session without a word, and everybody who says so of one that did not.
#include "daemons/dsoftbusd/bus/second-dial.h"

#include <doctest/doctest.h>

#include "daemons/dsoftbusd/bus/bus-fixture.h"

namespace nexus {
namespace {

using State = idl::SessionState;

const auto A = IpAddress::v4(10, 42, 0, 10), B = IpAddress::v4(10, 42, 0, 11), B2 = IpAddress::v4(10, 42, 0, 12),
           X = IpAddress::v4(10, 42, 0, 66);

// node-a has dialled node-b, which has the lower device id; both trust each other. On x is whoever wants to harm.
struct Fixture {
  SimClock sim;
  SimNetwork network;
  kj::Own<BusNode> a, b;

  explicit Fixture(SimNetwork::Options options = SimNetwork::Options()) : network(sim.timer, options) {
    network.addNode("node-a", A);
    network.addNode("node-b", B);
    network.addNode("node-b2", B2);
    network.addNode("x", X);
    static constexpr kj::StringPtr byA[] = {"node-b"_kj}, byB[] = {"node-a"_kj};
    a = kj::heap<BusNode>(sim, network, "node-a", A, kj::arrayPtr(byA, 1));
    b = kj::heap<BusNode>(sim, network, "node-b", B, kj::arrayPtr(byB, 1));
    a->knows(*b);
    sim.advance(4 * kj::SECONDS);
    REQUIRE(a->link("node-b").state() == State::READY);
    REQUIRE(b->link("node-a").state() == State::READY);
  }

  // node-b is started anew, at another address, and nothing tells node-a that the old connection is dead.
  void restartB() {
    network.cut("node-b");
    b->stop();
    b->name = kj::str("node-b2");
    b->address = B2;
    b->start();
  }

  // An announcement of node-b, as anybody on the link can send one.
  void announceB(SocketAddress at) {
    PeerRoute route{0, at};
    a->bus->setRoutes(b->own.deviceId(), kj::arrayPtr(&route, 1));
  }

  PeerLink& linkA() { return a->link("node-b"); }
};

TEST_CASE("a peer that lost its session without a word is back as soon as it announces itself") {
  Fixture f;
  auto before = f.a->session("node-b");
  f.restartB();
  f.sim.advance(500 * kj::MILLISECONDS);
  f.a->knows(*f.b);
  f.sim.advance(240 * kj::MILLISECONDS);
  CHECK_FALSE(before->hasEnded());
  f.sim.advance(60 * kj::MILLISECONDS);
  CHECK(before->hasEnded());
  CHECK(f.linkA().state() == State::READY);
  CHECK(f.b->link("node-a").state() == State::READY);
  CHECK(f.linkA().counters().live == 2);
  CHECK(f.linkA().doubts().chosen == 1);
  CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
  CHECK(f.b->call("node-a", "samgrd", resolveFrame()).status == CallStatus::OK);
}

TEST_CASE("a restarted peer that dials is taken at once, although its old session still looks alive") {
  Fixture f;
  f.restartB();
  f.b->knows(*f.a);
  f.sim.advance(50 * kj::MILLISECONDS);
  CHECK(f.linkA().state() == State::READY);
  CHECK(f.linkA().reason() == "session dialled by the peer");
  CHECK(f.linkA().counters().live == 2);
  CHECK(f.b->call("node-a", "samgrd", resolveFrame()).status == CallStatus::OK);
}

TEST_CASE("when both find out at the same moment, one session is left") {
  for (int offset = -6; offset <= 6; offset++) {
    CAPTURE(offset);
    Fixture f;
    f.restartB();
    f.sim.advance(500 * kj::MILLISECONDS);
    // node-a dials 250 ms after the announcement; node-b some milliseconds before or after that.
    f.a->knows(*f.b);
    f.sim.advance((250 + offset) * kj::MILLISECONDS);
    f.b->knows(*f.a);
    f.sim.advance(1 * kj::SECONDS);
    CHECK(f.linkA().state() == State::READY);
    CHECK(f.b->link("node-a").state() == State::READY);
    CHECK(f.network.connectionsBetween("node-a", "node-b2").size() == 1);
    CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
  }
}

TEST_CASE("a session whose peer is slow to answer is kept by both, however often the peer announces itself") {
  SimNetwork::Options far;
  far.latency = 200 * kj::MILLISECONDS;
  Fixture f(far);
  auto ours = f.a->session("node-b"), theirs = f.b->session("node-a");
  for (int i = 0; i < 120; i++) {
    f.a->knows(*f.b);
    f.sim.advance(1 * kj::SECONDS);
  }
  CHECK(f.linkA().doubts().dials > 0);  // the question took longer than the patience
  CHECK(f.linkA().doubts().dials <= 8);
  CHECK(f.linkA().doubts().chosen == 0);
  CHECK_FALSE(ours->hasEnded());
  CHECK_FALSE(theirs->hasEnded());
  CHECK(f.a->session("node-b").get() == ours.get());
  CHECK(f.network.connectionCount() == 1);
}

TEST_CASE("forged announcements cost a session one question a second, and no dial") {
  Fixture f;
  auto before = f.a->session("node-b");
  for (int i = 0; i < 600; i++) {
    f.announceB({X, uint16_t(1000 + i)});
    f.sim.advance(100 * kj::MILLISECONDS);
  }
  CHECK_FALSE(before->hasEnded());
  CHECK(f.linkA().doubts().doubts >= 50);
  CHECK(f.linkA().doubts().doubts <= 61);
  CHECK(f.linkA().doubts().dials == 0);
  CHECK(f.linkA().counters().dials == 1);
  CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
}

TEST_CASE("whoever forges announcements while the link is down gets a few dials, and never the session") {
  Fixture f;
  auto before = f.a->session("node-b");
  // He has the listener, and a key of his own.
  static constexpr kj::StringPtr trusted[] = {"node-a"_kj};
  BusNode impostor(f.sim, f.network, "x", X, kj::arrayPtr(trusted, 1));
  f.network.cut("node-b");
  for (int i = 0; i < 70; i++) {
    f.announceB({X, i % 2 == 0 ? BusNode::PORT : uint16_t(1000 + i)});
    f.sim.advance(100 * kj::MILLISECONDS);
  }
  CHECK(f.linkA().doubts().dials >= 2);
  CHECK(f.linkA().doubts().dials <= 4);
  CHECK(f.linkA().doubts().chosen == 0);
  CHECK_FALSE(before->hasEnded());
  f.network.heal("node-b");
  f.a->knows(*f.b);
  f.sim.advance(10 * kj::SECONDS);
  CHECK_FALSE(before->hasEnded());
  CHECK(f.a->session("node-b").get() == before.get());
  CHECK(impostor.observer.authenticated.size() == 0);
}

TEST_CASE(
    "a second connection on which the peer says nothing is closed, after five seconds or when it answers in the "
    "session") {
  Fixture f;
  auto before = f.a->session("node-b");
  // The peer itself is there and takes the connection, but never says which one it keeps.
  auto manager = f.network.manager("x");
  auto request = manager.createTcpListenerRequest();
  request.getLocal().getAddress().setAny();
  request.getLocal().setPort(9);
  auto acceptor = newNetAcceptor(f.sim.run(request.send()).getListener());
  FixedEntropy entropy{5};
  auto accepted = acceptor->accept().then(
      [&](Acceptor::Accepted&& c) { return respondToHandshake(kj::mv(c.stream), f.b->own, f.sim.timer, entropy); });
  f.network.cut("node-b");
  f.sim.advance(300 * kj::MILLISECONDS);
  f.announceB({X, 9});
  auto result = f.sim.run(kj::mv(accepted));
  REQUIRE(result.is<HandshakeDone>());
  auto since = f.sim.timer.now();
  bool answers = false;
  SUBCASE("five seconds") {}
  SUBCASE("an answer") {
    answers = true;
    f.sim.advance(2 * kj::SECONDS);
    CHECK_FALSE(before->hasEnded());
    f.network.heal("node-b");
  }
  auto closed = f.sim.run(result.get<HandshakeDone>().channel->receive());
  auto took = f.sim.timer.now() - since;
  CHECK(took >= (answers ? 2 : 5) * kj::SECONDS);
  CHECK(took <= (answers ? 2 : 5) * kj::SECONDS + 100 * kj::MILLISECONDS);
  REQUIRE(closed.is<RecordChannel::Message>());
  auto& message = closed.get<RecordChannel::Message>();
  auto parsed = KJ_ASSERT_NONNULL(tryParseSessionMessage(message.type, message.body));
  CHECK(parsed.get<CloseMessage>().reason == CloseReason::SUPERSEDED);
  CHECK_FALSE(before->hasEnded());
}

TEST_CASE("a session that ends while the peer has not decided goes on over the second connection") {
  Fixture f;
  auto manager = f.network.manager("x");
  auto request = manager.createTcpListenerRequest();
  request.getLocal().getAddress().setAny();
  request.getLocal().setPort(9);
  auto acceptor = newNetAcceptor(f.sim.run(request.send()).getListener());
  FixedEntropy entropy{5};
  auto accepted = acceptor->accept().then(
      [&](Acceptor::Accepted&& c) { return respondToHandshake(kj::mv(c.stream), f.b->own, f.sim.timer, entropy); });
  f.network.cut("node-b");
  f.sim.advance(300 * kj::MILLISECONDS);
  f.announceB({X, 9});
  auto result = f.sim.run(kj::mv(accepted));
  auto& channel = *result.get<HandshakeDone>().channel;
  f.network.killConnections("node-b");
  auto received = f.sim.run(channel.receive());
  REQUIRE(received.is<RecordChannel::Message>());
  auto& ping = received.get<RecordChannel::Message>();
  CHECK(KJ_ASSERT_NONNULL(tryParseSessionMessage(ping.type, ping.body)).is<PingMessage>());
  CHECK(f.linkA().counters().dials == 1);
}

TEST_CASE("trust that ends takes a second dial with it") {
  Fixture f;
  f.restartB();
  f.sim.advance(500 * kj::MILLISECONDS);
  f.a->knows(*f.b);
  f.sim.advance(252 * kj::MILLISECONDS);
  REQUIRE(f.linkA().doubts().dials == 1);
  f.a->bus->applyTrust(nullptr);
  f.sim.advance(3 * kj::SECONDS);
  CHECK(f.a->bus->links().size() == 0);
  CHECK(f.b->link("node-a").state() != State::READY);
}

TEST_CASE("a node that only waits to be dialled answers the announcement of a silent peer instead") {
  Fixture f;
  auto entry = BusNode::entry("node-b", "node-b");
  entry.dial = false;
  f.a->bus->applyTrust(kj::arr(kj::mv(entry)));
  auto id = f.b->own.deviceId();
  f.a->knows(*f.b);
  f.sim.advance(1 * kj::SECONDS);
  CHECK_FALSE(f.a->bus->takeAnswerCredit(id));  // the peer answered the question
  f.restartB();
  f.sim.advance(500 * kj::MILLISECONDS);
  f.a->knows(*f.b);
  CHECK_FALSE(f.a->bus->takeAnswerCredit(id));
  f.sim.advance(1 * kj::SECONDS);
  f.a->knows(*f.b);
  CHECK(f.a->bus->takeAnswerCredit(id));
  CHECK(f.linkA().doubts().dials == 0);
}

}  // namespace
}  // namespace nexus
