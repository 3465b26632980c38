// Two whole nodes of the bus on a network in memory and virtual time: they find, authenticate and call each other, and
// survive what happens to networks and processes.
#include <doctest/doctest.h>
#include <kj/encoding.h>

#include <algorithm>
#include <string>

#include "daemons/dsoftbusd/bus/bus-client.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"
#include "tests/sim/sim-bus-node.h"

namespace nexus {
namespace {

constexpr auto TOML_A = R"(
[dsoftbusd]
nodeName = "node-a"
allowTestIdentity = true
testIdentity = "node-a"
sessionPort = 34567
services = ["samgrd", "bundlemgrd"]
[[dsoftbusd.trust]]
name = "node-b"
testIdentity = "node-b"
[[dsoftbusd.policy]]
peer = "node-b"
service = "samgrd"
operations = ["resolve-status"]
)"_kj;

constexpr auto TOML_B = R"(
[dsoftbusd]
nodeName = "node-b"
allowTestIdentity = true
testIdentity = "node-b"
sessionPort = 34568
services = ["samgrd", "bundlemgrd"]
[[dsoftbusd.trust]]
name = "node-a"
testIdentity = "node-a"
dial = false
[[dsoftbusd.policy]]
peer = "node-a"
service = "samgrd"
operations = ["resolve-status"]
[[dsoftbusd.policy]]
peer = "node-a"
service = "bundlemgrd"
operations = ["list"]
[[dsoftbusd.policy]]
peer = "node-a"
service = "stream:app/sync"
operations = ["open"]
)"_kj;

const auto A = IpAddress::v4(10, 42, 0, 10), B = IpAddress::v4(10, 42, 0, 11), X = IpAddress::v4(10, 42, 0, 66);

kj::Array<kj::byte> resolve(kj::StringPtr name) {
  return KJ_ASSERT_NONNULL(sm::tryEncodeResolveStatus(name.asArray()));
}

struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Vector<kj::byte> wire;
  kj::Own<SimBusNode> a, b;

  explicit Fixture(kj::StringPtr tomlA = TOML_A, kj::StringPtr tomlB = TOML_B) {
    network.addNode("node-a", A);
    network.addNode("node-b", B);
    network.addNode("x", X);
    network.tap([this](kj::ArrayPtr<const kj::byte> bytes) { wire.addAll(bytes); });
    a = kj::heap<SimBusNode>(sim, network, "node-a", tomlA);
    b = kj::heap<SimBusNode>(sim, network, "node-b", tomlB);
  }

  bool onTheWire(kj::ArrayPtr<const kj::byte> needle) {
    return std::search(wire.begin(), wire.end(), needle.begin(), needle.end()) != wire.end();
  }

  void checkBothReady() {
    CHECK(a->state("node-b") == idl::SessionState::READY);
    CHECK(b->state("node-a") == idl::SessionState::READY);
    CHECK(a->call("node-b", "samgrd", resolve("bundlemgrd")).status == CallStatus::OK);
  }
};

TEST_CASE("two nodes find each other, authenticate, resolve a service and list bundles, within two seconds") {
  Fixture f;
  auto begin = f.sim.timer.now();
  auto found = f.a->call("node-b", "samgrd", resolve("bundlemgrd"));
  CHECK(found.status == CallStatus::OK);
  CHECK(KJ_ASSERT_NONNULL(sm::decodeReply(found.reply, sm::Op::RESOLVE_STATUS)).status == sm::Status::OK);
  auto unknown = f.a->call("node-b", "samgrd", resolve("does.not.exist"));
  CHECK(unknown.status == CallStatus::OK);
  CHECK(KJ_ASSERT_NONNULL(sm::decodeReply(unknown.reply, sm::Op::RESOLVE_STATUS)).status == sm::Status::NOT_FOUND);
  auto list = f.a->call("node-b", "bundlemgrd", bn::encodeList());
  CHECK(list.status == CallStatus::OK);
  CHECK(KJ_ASSERT_NONNULL(bn::decodeListReply(list.reply)).count == 3);
  CHECK(f.sim.timer.now() - begin < 2 * kj::SECONDS);
  CHECK(f.b->samgrCalls == 2);
  CHECK(f.b->bundlemgrCalls == 1);

  for (auto* node : {f.a.get(), f.b.get()}) {
    CHECK(node->printed(marker::BUS_TRANSPORT_UP));
    CHECK(node->printed(marker::BUS_DISCOVERY_UP));
    CHECK(node->printed(marker::BUS_ANNOUNCE_SENT));
    CHECK(node->printCount(marker::BUS_PEER_LEARNED) == 1);
    CHECK(node->printCount(marker::BUS_AUTH_OK) == 1);
    CHECK(node->printCount(marker::BUS_OS_SESSION_OK) == 1);
    CHECK(node->printed(marker::BUS_PROXY_UP));
  }
  CHECK(f.a->printed(marker::BUS_CROSS_SESSION_B));
  CHECK(f.b->printed(marker::BUS_CROSS_SESSION_A));
  CHECK(f.b->printed(marker::BUS_PROXY_OK_SAMGRD));
  CHECK(f.b->printed(marker::BUS_PROXY_OK_BUNDLEMGRD));
  CHECK_FALSE(f.b->printed(marker::BUS_DENIED_SERVICE));
}

TEST_CASE("node-a dials: there is one connection, and it is on node-b's port") {
  Fixture f;
  f.sim.advance(20 * kj::SECONDS);
  CHECK(f.network.connectionCount() == 1);
  CHECK(f.network.counters().connects == 1);
}

TEST_CASE("what no rule names is denied at the peer with a status and an audit record there") {
  Fixture f;
  auto denied = f.a->call("node-b", "policyd", resolve("x"));
  CHECK(denied.status == CallStatus::DENIED);
  CHECK(denied.auditId == f.b->daemon().audit().lastId());
  CHECK(f.b->printed(marker::BUS_DENIED_SERVICE));
  // node-a's own table lets node-b resolve, but not list.
  CHECK(f.b->call("node-a", "samgrd", resolve("bundlemgrd")).status == CallStatus::OK);
  CHECK(f.b->call("node-a", "bundlemgrd", bn::encodeList()).status == CallStatus::DENIED);
  CHECK(f.a->bundlemgrCalls == 0);

  // The audit capability tells it, without a payload.
  auto client = f.b->bus();
  auto response = f.sim.run(kj::Promise<capnp::Response<idl::DSoftBus::AuditResults>>(client.auditRequest().send()));
  REQUIRE(response.getRecords().size() == 1);
  auto record = response.getRecords()[0];
  CHECK(record.getId() == denied.auditId);
  CHECK(kj::str(record.getPeer()) == "node-a");
  CHECK(kj::str(record.getService()) == "policyd");
  CHECK(record.getVerdict() == CallStatus::DENIED);
}

TEST_CASE("a flood of denied calls is limited, shares audit records, and shows in the status") {
  Fixture f;
  f.sim.advance(2 * kj::SECONDS);
  f.checkBothReady();
  kj::uint limited = 0;
  for (int i = 0; i < 400; i++) {
    auto status = f.a->call("node-b", "policyd", resolve("x")).status;
    CHECK((status == CallStatus::DENIED || status == CallStatus::RATE_LIMITED));
    if (status == CallStatus::RATE_LIMITED) limited++;
  }
  CHECK(limited > 100);

  auto audit = f.sim.run(kj::Promise<capnp::Response<idl::DSoftBus::AuditResults>>(f.b->bus().auditRequest().send()));
  kj::uint recorded = 0, records = 0;
  for (auto record : audit.getRecords()) {
    if (record.getVerdict() != CallStatus::RATE_LIMITED) {
      CHECK(record.getRepeats() == 0);
      continue;
    }
    records++;
    recorded += 1 + record.getRepeats();
  }
  CHECK(recorded == limited);
  CHECK(records <= 10);

  auto statusClient = f.b->daemon().newStatusClient();
  auto snapshot =
      f.sim.run(kj::Promise<capnp::Response<idl::Status::SnapshotResults>>(statusClient.snapshotRequest().send()));
  auto status = snapshot.getStatus();
  CHECK(status.getHealth() == idl::DaemonStatus::Health::UP);
  auto counter = [&](kj::StringPtr name) -> int64_t {
    kj::Maybe<uint64_t> found;
    for (auto item : status.getCounters()) {
      if (item.getName() != name) continue;
      CHECK(found == nullptr);  // each name once
      found = item.getValue();
    }
    return found.orDefault(-1);
  };
  CHECK(counter("proxy.ok") == 1);
  CHECK(counter("proxy.rateLimited") == limited);
  CHECK(counter("proxy.denied") == 400 - limited);
  CHECK(counter("session.liveNow") == 1);
  CHECK(counter("session.accepted") == 1);
  CHECK(counter("session.refusedRate") == 0);
  CHECK(counter("session.halfOpenNow") == 0);
  CHECK(counter("discovery.peersNow") == 1);
  CHECK(counter("discovery.peersEvicted") == 0);
  CHECK(counter("audit.dropped") == 0);
}

TEST_CASE("a stranger with a sound handshake is refused with a status, marked and audited") {
  Fixture f;
  f.sim.advance(1 * kj::SECONDS);
  auto stranger = DeviceIdentity::forTest("stranger");
  FixedEntropy entropy(5);
  ExpectedPeer peer{DeviceIdentity::forTest("node-b").publicIdentity().staticKey, nullptr};
  auto connected = f.sim.run(BusClient::connect(f.network.manager("x"), SocketAddress{B, 34568}, stranger, kj::mv(peer),
                                                f.sim.timer, entropy, {.greet = false}));
  REQUIRE(connected.is<kj::Own<BusClient>>());
  auto& client = *connected.get<kj::Own<BusClient>>();
  CHECK(f.sim.run(client.call("samgrd", resolve("bundlemgrd"))).status == CallStatus::UNAUTHENTICATED);
  CHECK(f.sim.run(client.whenEnded()) == "closed by the peer: unauthenticated");
  CHECK(f.b->printed(marker::BUS_DENIED_UNAUTHENTICATED));
  CHECK(f.b->samgrCalls == 0);
  f.checkBothReady();
}

TEST_CASE("nothing that is said inside a session can be read on the wire") {
  Fixture f;
  auto name = "bundlemgrd.secret-looking"_kj;
  f.a->call("node-b", "samgrd", resolve(name));
  auto list = f.a->call("node-b", "bundlemgrd", bn::encodeList());
  auto session = f.a->session("node-b");
  auto ping = session.pingRequest();
  ping.setPayload("a payload that would be found"_kj.asBytes());
  f.sim.run(kj::Promise<capnp::Response<idl::PeerSession::PingResults>>(ping.send()));
  REQUIRE(f.wire.size() > 500);
  CHECK(f.onTheWire("NXSB"_kj.asBytes()));  // the tap works: announcements are in the clear
  CHECK_FALSE(f.onTheWire(name.asBytes()));
  CHECK_FALSE(f.onTheWire(resolve(name)));
  CHECK_FALSE(f.onTheWire(list.reply));
  CHECK_FALSE(f.onTheWire("a payload that would be found"_kj.asBytes()));
  CHECK_FALSE(f.onTheWire(asBytes(DeviceIdentity::forTest("node-a").verifyingKey())));  // identities neither
}

TEST_CASE("a stream that the configuration allows carries bytes both ways, none of them readable on the wire") {
  Fixture f;
  auto a = f.a->session("node-b"), b = f.b->session("node-a");
  auto open = [&](idl::PeerSession::Client& from, kj::StringPtr name) {
    auto request = from.openStreamRequest();
    request.setName(name);
    return f.sim.run(kj::Promise<capnp::Response<idl::PeerSession::OpenStreamResults>>(request.send()));
  };
  auto opened = open(a, "app/sync");
  REQUIRE(opened.getOutcome() == idl::PeerSession::StreamOutcome::OK);
  CHECK(open(a, "app/other").getOutcome() == idl::PeerSession::StreamOutcome::DENIED);
  CHECK(open(b, "app/other").getOutcome() == idl::PeerSession::StreamOutcome::DENIED);  // node-a has no such rule
  auto accepted =
      f.sim.run(kj::Promise<capnp::Response<idl::PeerSession::AcceptStreamResults>>(b.acceptStreamRequest().send()));
  CHECK(kj::str(accepted.getName()) == "app/sync");
  auto carry = [&](idl::MuxStream::Client from, idl::MuxStream::Client to, kj::StringPtr text) {
    auto write = from.writeRequest();
    write.setData(text.asBytes());
    f.sim.run(write.send().ignoreResult());
    auto read = to.readRequest();
    read.setMaxBytes(1000);
    auto response = f.sim.run(kj::Promise<capnp::Response<idl::MuxStream::ReadResults>>(read.send()));
    CHECK(response.getData() == text.asBytes());
  };
  carry(opened.getStream(), accepted.getStream(), "a question that would be found");
  carry(accepted.getStream(), opened.getStream(), "an answer that would be found");
  CHECK_FALSE(f.onTheWire("a question that would be found"_kj.asBytes()));
  CHECK_FALSE(f.onTheWire("an answer that would be found"_kj.asBytes()));
  CHECK_FALSE(f.onTheWire("app/sync"_kj.asBytes()));
}

TEST_CASE("a wrong key in node-b's table: node-a is refused, says so, and nothing is proxied") {
  auto other = DeviceIdentity::forTest("somebody else").publicIdentity();
  auto real = DeviceIdentity::forTest("node-a").publicIdentity();
  // The right device id with another static key.
  std::string text(TOML_B.cStr()), entry("testIdentity = \"node-a\"");
  auto key = kj::str("deviceId = \"", real.deviceId, "\"\nstaticKey = \"", toHex(other.staticKey), "\"");
  text.replace(text.find(entry), entry.size(), key.cStr());
  auto toml = kj::str(text.c_str());
  Fixture f(TOML_A, toml);
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.a->state("node-b") == idl::SessionState::REFUSED);
  CHECK(f.b->state("node-a") == idl::SessionState::IDLE);
  CHECK_FALSE(f.b->printed(marker::BUS_AUTH_OK));
  CHECK_FALSE(f.b->printed(marker::BUS_CROSS_SESSION_A));
  CHECK(f.b->daemon().audit().size() >= 1);
  auto client = f.a->bus();
  auto request = client.sessionRequest();
  request.setPeer("node-b");
  CHECK(f.sim.run(kj::Promise<capnp::Response<idl::DSoftBus::SessionResults>>(request.send())).getOutcome() ==
        idl::DSoftBus::Outcome::NOT_TRUSTED);
}

TEST_CASE("a cut link ends the session, and after it is healed the session comes back by itself") {
  Fixture f;
  f.sim.advance(2 * kj::SECONDS);
  f.checkBothReady();
  f.network.cut("node-b");
  f.sim.advance(30 * kj::SECONDS);
  CHECK(f.a->state("node-b") != idl::SessionState::READY);
  CHECK(f.b->state("node-a") != idl::SessionState::READY);
  f.network.heal("node-b");
  f.sim.advance(20 * kj::SECONDS);
  f.checkBothReady();
  CHECK(f.network.connectionCount() == 1);
}

TEST_CASE("a node whose process was killed comes back and is called again") {
  for (bool killA : {false, true}) {
    CAPTURE(killA);
    Fixture f;
    f.sim.advance(2 * kj::SECONDS);
    f.checkBothReady();
    auto old = f.a->session("node-b");
    auto& killed = killA ? *f.a : *f.b;
    killed.stop();
    f.sim.advance(500 * kj::MILLISECONDS);
    killed.start();
    f.sim.advance(10 * kj::SECONDS);
    f.checkBothReady();
    CHECK(f.network.connectionCount() == 1);
  }
}

TEST_CASE("a stack that was killed is opened again, and the session comes back") {
  for (bool killA : {false, true}) {
    CAPTURE(killA);
    Fixture f;
    f.sim.advance(2 * kj::SECONDS);
    f.checkBothReady();
    auto& node = killA ? *f.a : *f.b;
    node.stopStack();
    f.sim.advance(3 * kj::SECONDS);
    CHECK(node.state(killA ? "node-b" : "node-a") != idl::SessionState::READY);
    node.startStack();
    f.sim.advance(20 * kj::SECONDS);
    f.checkBothReady();
    CHECK(f.network.connectionCount() == 1);
  }
}

TEST_CASE("calls that wait fail as DISCONNECTED when the session ends, and a new session serves the next") {
  Fixture f;
  auto session = f.a->session("node-b");
  f.b->stop();
  f.sim.advance(1 * kj::SECONDS);
  auto request = session.callRequest();
  request.setService("samgrd");
  request.setFrame(resolve("bundlemgrd"));
  auto failure = kj::runCatchingExceptions(
      [&] { f.sim.run(kj::Promise<capnp::Response<idl::PeerSession::CallResults>>(request.send())); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::DISCONNECTED);
  f.b->start();
  CHECK(f.a->call("node-b", "samgrd", resolve("bundlemgrd")).status == CallStatus::OK);
}

TEST_CASE("the capability says who is there, and wakes whoever waits for a change") {
  Fixture f;
  auto client = f.a->bus();
  auto first = f.sim.run(kj::Promise<capnp::Response<idl::DSoftBus::PeersResults>>(client.peersRequest().send()));
  auto request = client.peersRequest();
  request.setKnown(first.getGeneration());
  auto waiting = kj::Promise<capnp::Response<idl::DSoftBus::PeersResults>>(request.send());
  auto next = f.sim.run(kj::mv(waiting));
  CHECK(next.getGeneration() != first.getGeneration());
  f.sim.advance(3 * kj::SECONDS);
  auto now = f.sim.run(kj::Promise<capnp::Response<idl::DSoftBus::PeersResults>>(client.peersRequest().send()));
  REQUIRE(now.getPeers().size() == 1);
  auto peer = now.getPeers()[0];
  CHECK(kj::str(peer.getName()) == "node-b");
  CHECK(peer.getState() == idl::SessionState::READY);
  CHECK(peer.getServices().size() == 2);
  CHECK(peer.getAddress().getPort() == 34568);
  CHECK(SocketAddress::fromIdl(peer.getAddress()).address == B);
  // An unknown peer is no peer.
  auto unknown = client.sessionRequest();
  unknown.setPeer("node-z");
  CHECK(f.sim.run(kj::Promise<capnp::Response<idl::DSoftBus::SessionResults>>(unknown.send())).getOutcome() ==
        idl::DSoftBus::Outcome::UNKNOWN_PEER);
}

TEST_CASE("the same run twice puts the same bytes on the wire") {
  auto run = [] {
    Fixture f;
    f.a->call("node-b", "samgrd", resolve("bundlemgrd"));
    f.sim.advance(10 * kj::SECONDS);
    return f.wire.releaseAsArray();
  };
  CHECK(run() == run());
}

}  // namespace
}  // namespace nexus
