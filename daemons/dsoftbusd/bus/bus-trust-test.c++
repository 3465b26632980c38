// The trust table that changes while the bus runs: who keeps a session, whose ends, and how.
#include <doctest/doctest.h>

#include "daemons/dsoftbusd/bus/bus-fixture.h"

namespace nexus {
namespace {

using State = idl::SessionState;

IpAddress addressOf(kj::uint n) {
  return IpAddress::v4(10, 42, 0, kj::byte(n));
}

// node-a trusts node-b and node-c, and they trust it.
struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<BusNode> a, b, c;

  Fixture() {
    network.addNode("node-a", addressOf(10));
    network.addNode("node-b", addressOf(11));
    network.addNode("node-c", addressOf(12));
    static constexpr kj::StringPtr byA[] = {"node-b"_kj, "node-c"_kj}, byOthers[] = {"node-a"_kj};
    a = kj::heap<BusNode>(sim, network, "node-a", addressOf(10), kj::arrayPtr(byA, 2));
    b = kj::heap<BusNode>(sim, network, "node-b", addressOf(11), kj::arrayPtr(byOthers, 1));
    c = kj::heap<BusNode>(sim, network, "node-c", addressOf(12), kj::arrayPtr(byOthers, 1));
  }

  void connect() {
    a->knows(*b);
    a->knows(*c);
    sim.advance(1 * kj::SECONDS);
    REQUIRE(a->link("node-b").state() == State::READY);
    REQUIRE(a->link("node-c").state() == State::READY);
  }

  // node-b under another key, on the same address, as after a restart with a new identity file.
  void restartB(kj::StringPtr identity) {
    b->stop();
    b->own = DeviceIdentity::forTest(identity);
    b->start();
  }

  // node-b known by `identity`, and by its old key for so long.
  TrustedPeer rotated(kj::StringPtr identity, kj::Duration grace) {
    auto entry = BusNode::entry("node-b", identity);
    entry.previous = PreviousIdentity{DeviceIdentity::forTest("node-b").publicIdentity(), sim.timer.now() + grace};
    return entry;
  }
  Bus::TrustChange applyAtA(TrustedPeer entryOfB) {
    return a->bus->applyTrust(kj::arr(kj::mv(entryOfB), BusNode::entry("node-c", "node-c")));
  }

  size_t auditsAtA(kj::StringPtr operation) {
    size_t n = 0;
    a->audit.forEachAfter(0, [&](const AuditEntry& e) { n += e.operation == operation ? 1 : 0; });
    return n;
  }
};

TEST_CASE("revoking a peer ends its session at once, tells it why, and leaves the others alone") {
  Fixture f;
  f.connect();
  auto revoked = f.a->session("node-b"), kept = f.a->session("node-c"), atB = f.b->session("node-a");
  auto opened = revoked->mux().open("test/1", 4);
  auto& stream = *opened.get<kj::Own<MuxStream>>();
  f.sim.advance(100 * kj::MILLISECONDS);
  kj::byte buffer;
  auto reading = stream.tryRead(&buffer, 1, 1);
  auto waiting = revoked->ping(nullptr);

  auto change = f.a->bus->applyTrust(kj::arr(BusNode::entry("node-c", "node-c")));
  CHECK(change.removed == 1);
  CHECK(change.kept == 1);
  CHECK(f.a->bus->findLink("node-b") == nullptr);
  CHECK(f.a->trust.findByName("node-b") == nullptr);
  f.sim.settle();  // no time passes
  CHECK(revoked->hasEnded());
  CHECK_THROWS_WITH_AS(f.sim.run(kj::mv(waiting)), doctest::Contains("no longer trusted"), kj::Exception);
  CHECK_THROWS_AS(f.sim.run(kj::mv(reading)), kj::Exception);
  CHECK_THROWS_AS((void)revoked->call("samgrd"_kj.asArray(), resolveFrame()), kj::Exception);
  CHECK(f.auditsAtA("revoke") == 1);
  CHECK(f.a->bus->counters().revoked == 1);

  f.sim.advance(10 * kj::MILLISECONDS);
  CHECK(atB->hasEnded());
  CHECK(f.b->link("node-a").state() == State::REFUSED);
  CHECK(f.b->link("node-a").reason() ==
        kj::str("the peer does not trust this node's key (audit record ", f.a->audit.lastId(), " there)"));
  CHECK_FALSE(kept->hasEnded());
  CHECK(f.a->session("node-c").get() == kept.get());
}

TEST_CASE("what a revoked peer still sends in the same turn of the event loop is not authenticated any more") {
  Fixture f;
  f.connect();
  auto link = kj::addRef(f.a->link("node-b"));
  CHECK(f.sim.run(link->handler().handle("samgrd"_kj.asArray(), resolveFrame())).status == CallStatus::OK);
  SUBCASE("its entry is gone") {
    f.a->bus->applyTrust(kj::arr(BusNode::entry("node-c", "node-c")));
  }
  SUBCASE("its entry has another key") {
    f.applyAtA(BusNode::entry("node-b", "node-b2"));
  }
  auto late = link->handler().handle("samgrd"_kj.asArray(), resolveFrame());
  CHECK_FALSE(link->handler().admitStream("test/1").admitted);
  CHECK(f.sim.run(kj::mv(late)).status == CallStatus::UNAUTHENTICATED);
  CHECK(f.a->samgrd->callers.size() == 1);
}

TEST_CASE("a revoked peer is not dialled again, and refused as a stranger when it dials") {
  Fixture f;
  f.connect();
  f.a->bus->applyTrust(kj::arr(BusNode::entry("node-c", "node-c")));
  auto connects = f.network.counters().connects;
  for (int i = 0; i < 20; i++) {
    f.a->knows(*f.b);  // its announcements go on
    f.sim.advance(1 * kj::SECONDS);
  }
  CHECK(f.network.counters().connects == connects);
  f.b->knows(*f.a);
  f.sim.advance(40 * kj::SECONDS);
  CHECK(f.network.counters().connects > connects);
  CHECK(f.a->bus->counters().strangers > 0);
  CHECK(f.b->link("node-a").state() == State::REFUSED);
}

TEST_CASE("a dial and a handshake under way end with the trust in their peer") {
  for (int ms = 0; ms <= 8; ms++) {
    CAPTURE(ms);
    Fixture f;
    f.a->knows(*f.b);
    f.sim.advance(ms * kj::MILLISECONDS);  // a millisecond of latency: connect 2, handshake 3, pings
    f.a->bus->applyTrust(kj::arr(BusNode::entry("node-c", "node-c")));
    f.sim.advance(10 * kj::SECONDS);
    CHECK(f.network.connectionCount() == 0);
    CHECK(f.b->link("node-a").state() != State::READY);
    CHECK(f.auditsAtA("revoke") == 1);
  }
}

TEST_CASE("a handshake that the peer began before it was revoked ends in a refusal") {
  for (int ms = 0; ms <= 8; ms++) {
    CAPTURE(ms);
    Fixture f;
    f.b->knows(*f.a);
    f.sim.advance(ms * kj::MILLISECONDS);
    f.a->bus->applyTrust(kj::arr(BusNode::entry("node-c", "node-c")));
    f.sim.advance(3 * kj::SECONDS);
    CHECK(f.b->link("node-a").state() == State::REFUSED);
    CHECK(f.network.connectionCount() == 0);
  }
}

TEST_CASE("a peer that is added is dialled once its address is told, and one that is taken back is a peer again") {
  Fixture f;
  f.connect();
  f.a->bus->applyTrust(kj::arr(BusNode::entry("node-c", "node-c")));
  f.sim.advance(2 * kj::SECONDS);
  auto change = f.applyAtA(BusNode::entry("node-b", "node-b"));
  CHECK(change.added == 1);
  CHECK(change.kept == 1);
  CHECK(f.a->link("node-b").state() == State::IDLE);
  f.a->knows(*f.b);
  f.sim.advance(1 * kj::SECONDS);
  CHECK(f.a->link("node-b").state() == State::READY);
  CHECK(f.a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
}

TEST_CASE("a table that does not make sense changes nothing") {
  Fixture f;
  f.connect();
  auto session = f.a->session("node-b");
  CHECK_THROWS(f.a->bus->applyTrust(kj::arr(BusNode::entry("x", "node-b"), BusNode::entry("y", "node-b"))));
  f.sim.advance(1 * kj::SECONDS);
  CHECK_FALSE(session->hasEnded());
  CHECK(f.a->trust.all().size() == 2);
  CHECK(f.a->bus->links().size() == 2);
}

TEST_CASE("another key without a grace ends the session that the old key opened, and the new key opens one") {
  Fixture f;
  f.connect();
  auto old = f.a->session("node-b");
  auto change = f.applyAtA(BusNode::entry("node-b", "node-b2"));
  CHECK(change.changed == 1);
  f.sim.settle();
  CHECK(old->hasEnded());
  CHECK(f.auditsAtA("revoke") == 1);
  f.restartB("node-b2");
  f.a->knows(*f.b);
  f.sim.advance(2 * kj::SECONDS);
  CHECK(f.a->link("node-b").state() == State::READY);
  CHECK(f.a->link("node-b").knownAs().deviceId == f.b->own.deviceId());
}

TEST_CASE("in its grace the old key keeps its session and the new key is accepted, after it the old one is refused") {
  Fixture f;
  f.connect();
  auto old = f.a->session("node-b");
  f.applyAtA(f.rotated("node-b2", 60 * kj::SECONDS));
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.a->session("node-b").get() == old.get());  // nothing happened to it
  CHECK(f.a->link("node-b").knownAs().deviceId == f.b->own.deviceId());
  // The same name, once more by the old key: a restart before the new key is in place.
  f.restartB("node-b");
  f.b->knows(*f.a);
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.a->link("node-b").state() == State::READY);

  SUBCASE("the new key comes in time: one session of that name, and the end of the grace does not touch it") {
    f.restartB("node-b2");
    f.a->knows(*f.b);
    f.b->knows(*f.a);
    f.sim.advance(5 * kj::SECONDS);
    CHECK(f.a->link("node-b").state() == State::READY);
    CHECK(f.a->link("node-b").knownAs().deviceId == f.b->own.deviceId());
    CHECK(f.a->bus->links().size() == 2);
    auto young = f.a->session("node-b");
    f.sim.advance(60 * kj::SECONDS);
    CHECK(f.a->session("node-b").get() == young.get());
    CHECK(f.a->bus->counters().gracesEnded == 1);
    CHECK(f.auditsAtA("revoke") == 0);
  }
  SUBCASE("it does not come: the session of the old key ends at the end of the grace, and the key is a stranger's") {
    auto left = 60 * kj::SECONDS - (f.sim.timer.now() - kj::origin<kj::TimePoint>()) + 1 * kj::SECONDS;
    f.sim.advance(left - 1 * kj::MILLISECONDS);
    CHECK(f.a->link("node-b").state() == State::READY);
    f.sim.advance(10 * kj::MILLISECONDS);
    CHECK(f.a->link("node-b").state() != State::READY);
    CHECK(f.auditsAtA("revoke") == 1);
    CHECK(f.b->link("node-a").state() == State::REFUSED);
    f.sim.advance(40 * kj::SECONDS);
    CHECK(f.a->bus->counters().strangers > 0);
    CHECK(f.a->bus->findLink(f.b->own.deviceId()) == nullptr);
  }
}

TEST_CASE("a grace that was over before the table came is no grace") {
  Fixture f;
  f.connect();
  auto old = f.a->session("node-b");
  f.applyAtA(f.rotated("node-b2", -1 * kj::SECONDS));
  f.sim.settle();
  CHECK(old->hasEnded());
  CHECK(f.a->trust.all()[0].previous == nullptr);
}

TEST_CASE("sixty-four trusted peers have a session each, and each can be revoked") {
  SimClock sim;
  SimNetwork network{sim.timer};
  constexpr kj::uint PEERS = 64;
  network.addNode("hub", addressOf(1));
  kj::Vector<kj::String> names;
  for (kj::uint i = 0; i < PEERS; i++) {
    names.add(kj::str("peer-", i));
    network.addNode(names.back(), addressOf(100 + i));
  }
  auto trusted = KJ_MAP(n, names)->kj::StringPtr {
    return n;
  };
  static constexpr kj::StringPtr hubName[] = {"hub"_kj};
  BusNode hub(sim, network, "hub", addressOf(1), trusted);
  kj::Vector<kj::Own<BusNode>> peers;
  for (kj::uint i = 0; i < PEERS; i++) {
    peers.add(kj::heap<BusNode>(sim, network, names[i], addressOf(100 + i), hubName));
    hub.knows(*peers.back());
  }
  sim.advance(3 * kj::SECONDS);
  for (auto& link : hub.bus->links()) CHECK(link->state() == State::READY);
  CHECK(network.connectionCount() == PEERS);
  for (kj::uint left = PEERS; left-- > 0;) {
    auto table = hub.trust.clone();
    auto change = hub.bus->applyTrust(KJ_MAP(peer, table.slice(0, left)) { return peer.clone(); });
    CHECK(change.removed == 1);
    CHECK(change.kept == left);
  }
  sim.advance(2 * kj::SECONDS);
  CHECK(network.connectionCount() == 0);
}

}  // namespace
}  // namespace nexus
