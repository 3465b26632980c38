#include "daemons/dsoftbusd/bus/bus.h"

#include <doctest/doctest.h>

#include "daemons/dsoftbusd/bus/bus-fixture.h"

namespace nexus {
namespace {

const auto A = IpAddress::v4(10, 42, 0, 10), B = IpAddress::v4(10, 42, 0, 11), X = IpAddress::v4(10, 42, 0, 66);

// node-b has the lower device id of the two.
struct Fixture {
  SimClock sim;
  SimNetwork network;
  kj::Own<BusNode> a, b;

  explicit Fixture(LinkLimits limits = {}, SimNetwork::Options options = SimNetwork::Options())
      : network(sim.timer, options) {
    network.addNode("node-a", A);
    network.addNode("node-b", B);
    network.addNode("x", X);
    static constexpr kj::StringPtr trustedByA[] = {"node-b"_kj}, trustedByB[] = {"node-a"_kj, "selftest"_kj};
    a = kj::heap<BusNode>(sim, network, "node-a", A, kj::arrayPtr(trustedByA, 1), limits);
    b = kj::heap<BusNode>(sim, network, "node-b", B, kj::arrayPtr(trustedByB, 2), limits);
  }

  void connect() {
    a->knows(*b);
    sim.advance(1 * kj::SECONDS);
    REQUIRE(a->link("node-b").state() == idl::SessionState::READY);
    REQUIRE(b->link("node-a").state() == idl::SessionState::READY);
  }

  // A program on the third machine.
  BusClient::Connected dial(kj::StringPtr identity, kj::StringPtr expected, BusClient::Options options = {}) {
    keys.add(kj::heap<DeviceIdentity>(DeviceIdentity::forTest(identity)));
    ExpectedPeer peer{DeviceIdentity::forTest(expected).publicIdentity().staticKey, nullptr};
    return sim.run(BusClient::connect(network.manager("x"), b->socketAddress(), *keys.back(), kj::mv(peer), sim.timer,
                                      entropy, options));
  }
  kj::Own<BusClient> mustDial(kj::StringPtr identity, BusClient::Options options = {}) {
    auto connected = dial(identity, "node-b", options);
    REQUIRE(connected.is<kj::Own<BusClient>>());
    return kj::mv(connected.get<kj::Own<BusClient>>());
  }
  kj::Vector<kj::Own<DeviceIdentity>> keys;
  FixedEntropy entropy{99};
};

TEST_CASE("a dial becomes one live session that both ends see, and a ping crosses it both ways") {
  Fixture f;
  f.connect();
  auto payload = "PING"_kj.asBytes();
  CHECK(f.sim.run(f.a->session("node-b")->ping(payload)) == payload);
  CHECK(f.sim.run(f.b->session("node-a")->ping(payload)) == payload);
  CHECK(f.a->observer.authenticated.size() == 1);
  CHECK(f.a->observer.live.size() == 1);
  CHECK(f.b->observer.live[0] == "node-a");
  CHECK(f.network.connectionCount() == 1);
}

TEST_CASE("calls cross the session in both directions, refusals with a status and the audit id of the other node") {
  Fixture f;
  f.connect();
  auto resolved = f.a->call("node-b", "samgrd", resolveFrame());
  CHECK(resolved.status == CallStatus::OK);
  CHECK(resolved.reply == kj::decodeHex(RESOLVE_REPLY_HEX));
  CHECK(f.b->call("node-a", "bundlemgrd", listFrame()).reply == kj::decodeHex(LIST_REPLY_HEX));
  auto denied = f.a->call("node-b", "policyd", resolveFrame());
  CHECK(denied.status == CallStatus::DENIED);
  CHECK(denied.auditId == f.b->audit.lastId());
  CHECK(f.b->lastAudit().peer == "node-a");
  CHECK(f.b->lastAudit().service == "policyd");
  auto big = kj::heapArray<kj::byte>(257);
  CHECK(f.a->call("node-b", "samgrd", big).status == CallStatus::OVERSIZED);
  CHECK(f.a->call("node-b", "samgrd", listFrame()).status == CallStatus::MALFORMED);
  CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
}

TEST_CASE("the services learn who calls, and when the session with that peer is over, however it ends") {
  Fixture f;
  f.connect();
  CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
  REQUIRE(f.b->samgrd->callers.size() == 1);
  CHECK(f.b->samgrd->callers[0] == kj::str("node-a ", f.a->own.deviceId()));
  CHECK(f.b->samgrd->ended.size() == 0);
  f.network.killConnections("node-a");
  f.sim.advance(3 * kj::SECONDS);
  REQUIRE(f.b->samgrd->ended.size() == 1);
  CHECK(f.b->samgrd->ended[0] == "node-a");
  // Without an end of the session the node itself may go.
  CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
  auto& samgrd = *f.b->samgrd;
  f.b->stop();
  CHECK(samgrd.ended.size() == 2);
}

TEST_CASE("a stranger's request is refused with a status, audited, and the session closed") {
  Fixture f;
  auto client = f.mustDial("stranger", {.greet = false});
  auto reply = f.sim.run(client->call("samgrd", resolveFrame()));
  CHECK(reply.status == CallStatus::UNAUTHENTICATED);
  CHECK(reply.auditId == f.b->audit.lastId());
  CHECK(f.b->audit.size() == 2);  // the handshake, the call
  CHECK(f.b->lastAudit().service == "samgrd");
  CHECK(f.b->lastAudit().peer.startsWith("stranger:"));
  CHECK(f.sim.run(client->whenEnded()) == "closed by the peer: unauthenticated");
  CHECK(f.b->bus->counters().strangers == 1);
  CHECK(f.b->proxy->count(CallStatus::OK) == 0);
  CHECK(f.b->observer.authenticated.size() == 0);
}

TEST_CASE("a stranger that does not ask for anything is closed as unauthenticated too") {
  Fixture f;
  auto connected = f.dial("stranger", "node-b");
  REQUIRE(connected.is<BusClient::Failure>());
  CHECK(connected.get<BusClient::Failure>().reason == "closed by the peer: unauthenticated");
  auto silent = f.mustDial("stranger", {.greet = false});
  CHECK(f.sim.run(silent->whenEnded()) == "closed by the peer: unauthenticated");
}

TEST_CASE("a stranger holds its place until it is answered, for two seconds if it says nothing") {
  Fixture f;
  auto silent = f.mustDial("stranger", {.greet = false});
  auto ended = silent->whenEnded();
  f.sim.advance(1900 * kj::MILLISECONDS);
  CHECK(f.b->bus->counters().strangers == 1);
  CHECK(f.b->bus->halfOpenCount() == 1);
  CHECK_FALSE(ended.poll(f.sim.waitScope));
  f.sim.advance(150 * kj::MILLISECONDS);
  CHECK(ended.poll(f.sim.waitScope));
  f.sim.advance(10 * kj::MILLISECONDS);
  CHECK(f.b->bus->halfOpenCount() == 0);
}

TEST_CASE("a trusted program dials, pings and is denied what no rule names") {
  Fixture f;
  auto client = f.mustDial("selftest");
  CHECK(client->peer().deviceId == f.b->own.deviceId());
  auto payload = "hello"_kj.asBytes();
  CHECK(f.sim.run(client->ping(payload)) == payload);
  f.sim.advance(10 * kj::MILLISECONDS);
  CHECK(f.b->link("selftest").state() == idl::SessionState::READY);
  CHECK(f.sim.run(client->call("keystored", resolveFrame())).status == CallStatus::DENIED);
  client = nullptr;
  f.sim.advance(1 * kj::SECONDS);
  CHECK(f.b->link("selftest").state() == idl::SessionState::IDLE);
}

TEST_CASE("a dial that expects another static key gets no further than the first message") {
  Fixture f;
  auto connected = f.dial("selftest", "node-a");
  CHECK(connected.is<BusClient::Failure>());
  CHECK(f.b->bus->counters().handshakeFailures == 1);
  CHECK(f.b->observer.authenticated.size() == 0);
}

TEST_CASE("a node that is not trusted by its peer learns so and does not hammer it") {
  Fixture f;
  static constexpr kj::StringPtr trusted[] = {"node-b"_kj};
  f.network.addNode("node-c", IpAddress::v4(10, 42, 0, 12));
  BusNode c(f.sim, f.network, "node-c", IpAddress::v4(10, 42, 0, 12), kj::arrayPtr(trusted, 1));
  c.knows(*f.b);
  f.sim.advance(2 * kj::SECONDS);
  CHECK(c.link("node-b").state() == idl::SessionState::REFUSED);
  CHECK(c.link("node-b").reason().startsWith("the peer does not trust this node's key"));
  auto dials = c.link("node-b").counters().dials;
  for (int i = 0; i < 10; i++) {
    c.knows(*f.b);  // its announcements go on
    f.sim.advance(1 * kj::SECONDS);
  }
  CHECK(c.link("node-b").counters().dials == dials);
}

TEST_CASE("two dials at once leave exactly one session, that of the lower device id") {
  for (int offset = 0; offset <= 12; offset++) {
    CAPTURE(offset);
    Fixture f;
    // From both at the same moment to one after the other, a millisecond of latency each way.
    f.a->knows(*f.b);
    f.sim.advance(offset * kj::MILLISECONDS);
    f.b->knows(*f.a);
    f.sim.advance(10 * kj::SECONDS);
    CHECK(f.a->link("node-b").state() == idl::SessionState::READY);
    CHECK(f.b->link("node-a").state() == idl::SessionState::READY);
    CHECK(f.network.connectionCount() == 1);
    if (offset == 0) CHECK(f.b->link("node-a").reason() == "session dialled by this node");
    CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
    CHECK(f.b->call("node-a", "samgrd", resolveFrame()).status == CallStatus::OK);
  }
}

TEST_CASE("the same with the other one first") {
  for (int offset = 1; offset <= 12; offset++) {
    CAPTURE(offset);
    Fixture f;
    f.b->knows(*f.a);
    f.sim.advance(offset * kj::MILLISECONDS);
    f.a->knows(*f.b);
    f.sim.advance(10 * kj::SECONDS);
    CHECK(f.a->link("node-b").state() == idl::SessionState::READY);
    CHECK(f.b->link("node-a").state() == idl::SessionState::READY);
    CHECK(f.network.connectionCount() == 1);
    CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
  }
}

TEST_CASE("a session that is cut ends by its keep-alive and comes back once the link is healed") {
  Fixture f;
  f.connect();
  auto before = f.a->session("node-b");
  f.network.cut("node-b");
  f.sim.advance(12 * kj::SECONDS);
  CHECK(before->hasEnded());
  CHECK(f.a->link("node-b").state() != idl::SessionState::READY);
  CHECK(f.b->link("node-a").state() != idl::SessionState::READY);
  CHECK_THROWS(f.sim.run(before->ping(nullptr)));
  f.network.heal("node-b");
  f.sim.advance(20 * kj::SECONDS);
  CHECK(f.a->link("node-b").state() == idl::SessionState::READY);
  CHECK(f.b->link("node-a").state() == idl::SessionState::READY);
  CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
}

TEST_CASE("a reset connection is made again at once") {
  Fixture f;
  f.connect();
  f.network.killConnections("node-b");
  f.sim.advance(1 * kj::SECONDS);
  CHECK(f.a->link("node-b").state() == idl::SessionState::READY);
  CHECK(f.a->link("node-b").counters().live == 2);
}

TEST_CASE("an idle session lives on by its keep-alive, and its keys are renewed by age") {
  Fixture f;
  f.connect();
  auto session = f.a->session("node-b");
  f.sim.advance(25 * kj::MINUTES);
  CHECK_FALSE(session->hasEnded());
  CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
}

TEST_CASE("keys are renewed by count in the middle of calls") {
  LinkLimits limits;
  limits.records.maxRecords = 8;
  Fixture f(limits);
  f.connect();
  for (int i = 0; i < 50; i++) CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
  CHECK(f.a->link("node-b").counters().live == 1);
}

TEST_CASE("a node that was restarted is taken back although its old session still looks alive") {
  Fixture f;
  f.b->knows(*f.a);
  f.sim.advance(1 * kj::SECONDS);
  REQUIRE(f.a->link("node-b").state() == idl::SessionState::READY);
  // The process dies without a FIN reaching node-a.
  f.network.cut("node-b");
  f.b->stop();
  f.sim.advance(100 * kj::MILLISECONDS);
  f.b->start();
  f.network.heal("node-b");
  f.b->knows(*f.a);
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.a->link("node-b").state() == idl::SessionState::READY);
  CHECK(f.b->link("node-a").state() == idl::SessionState::READY);
  CHECK(f.b->call("node-a", "samgrd", resolveFrame()).status == CallStatus::OK);
}

TEST_CASE("half-open handshakes are bounded per source and give their places back after five seconds") {
  Fixture f;
  auto net = f.network.manager("x");
  kj::Vector<kj::Own<kj::AsyncIoStream>> streams;
  auto transport = newNetTransport(net);
  for (int i = 0; i < 10; i++) {
    auto dialled = f.sim.run(transport->dial(f.b->socketAddress()));
    streams.add(kj::mv(dialled.get<kj::Own<kj::AsyncIoStream>>()));
  }
  f.sim.advance(100 * kj::MILLISECONDS);
  CHECK(f.b->bus->halfOpenCount() == 4);
  CHECK(f.b->bus->counters().refusedHalfOpen == 6);
  // Another source is not affected.
  f.connect();
  // One byte a second does not keep a place for longer.
  for (int i = 0; i < 4; i++) {
    auto byte = kj::byte(0);
    f.sim.run(streams[0]->write(&byte, 1));
    f.sim.advance(1200 * kj::MILLISECONDS);
  }
  f.sim.advance(100 * kj::MILLISECONDS);
  CHECK(f.b->bus->halfOpenCount() == 0);
  CHECK(f.b->bus->counters().handshakeFailures == 4);
}

TEST_CASE("of several addresses of a peer the ones that do not lead to it are passed over") {
  Fixture f;
  // Nobody listens on the third machine.
  PeerRoute heard[] = {{0, {X, BusNode::PORT}}, {0, f.b->socketAddress()}};
  f.a->bus->setRoutes(f.b->own.deviceId(), heard);
  f.sim.advance(1 * kj::SECONDS);
  CHECK(f.a->link("node-b").state() == idl::SessionState::READY);
  CHECK(f.a->link("node-b").counters().dialFailures == 1);
}

TEST_CASE("a peer whose session has ended is answered when it announces itself, and only then") {
  Fixture f;
  CHECK_FALSE(f.a->bus->takeAnswerCredit(f.b->own.deviceId()));
  f.connect();
  CHECK_FALSE(f.a->bus->takeAnswerCredit(f.b->own.deviceId()));
  f.b->stop();
  f.sim.advance(100 * kj::MILLISECONDS);
  CHECK(f.a->bus->takeAnswerCredit(f.b->own.deviceId()));
  CHECK_FALSE(f.a->bus->takeAnswerCredit("somebody else"));
}

TEST_CASE("a peer that has moved to another address is dialled there as soon as it is heard there") {
  Fixture f;
  f.connect();
  f.network.cut("node-b");
  f.sim.advance(15 * kj::SECONDS);
  CHECK(f.a->link("node-b").state() != idl::SessionState::READY);
  f.b->stop();
  f.network.addNode("elsewhere", IpAddress::v4(10, 42, 0, 12));
  f.b->name = kj::str("elsewhere");
  f.b->address = IpAddress::v4(10, 42, 0, 12);
  f.b->start();
  f.a->knows(*f.b);
  f.sim.advance(3 * kj::SECONDS);
  CHECK(f.a->link("node-b").state() == idl::SessionState::READY);
  CHECK(f.sim.run(f.a->session("node-b")->ping(nullptr)).size() == 0);
}

TEST_CASE("an address that never answers is given up after ten seconds, however long the stack would try") {
  SimNetwork::Options patient;
  patient.connectTimeout = 1 * kj::MINUTES;
  Fixture f({}, patient);
  f.network.cut("x");
  PeerRoute heard[] = {{0, {X, BusNode::PORT}}, {0, f.b->socketAddress()}};
  f.a->bus->setRoutes(f.b->own.deviceId(), heard);
  f.sim.advance(9900 * kj::MILLISECONDS);
  CHECK(f.a->link("node-b").state() == idl::SessionState::DIALING);
  f.sim.advance(1 * kj::SECONDS);
  CHECK(f.a->link("node-b").state() == idl::SessionState::READY);
}

}  // namespace
}  // namespace nexus
