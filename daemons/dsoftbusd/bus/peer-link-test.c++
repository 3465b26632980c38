// Which of two connections a link keeps, when it lets go of one, and how often it dials.
#include "daemons/dsoftbusd/bus/peer-link.h"

#include <doctest/doctest.h>

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

}  // namespace
}  // namespace nexus
