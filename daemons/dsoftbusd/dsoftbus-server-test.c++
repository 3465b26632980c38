#include "daemons/dsoftbusd/dsoftbus-server.h"

#include <doctest/doctest.h>

#include "daemons/dsoftbusd/bus-fixture.h"

namespace nexus {
namespace {

using SessionResponse = kj::Promise<capnp::Response<idl::DSoftBus::SessionResults>>;
using PeersResponse = kj::Promise<capnp::Response<idl::DSoftBus::PeersResults>>;

constexpr kj::StringPtr TRUSTED_BY_A[] = {"node-b"_kj}, TRUSTED_BY_B[] = {"node-a"_kj};

// Two nodes; the capability of the first.
struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<BusNode> a, b;
  BusObserver observer;
  kj::Own<Discovery> discovery;
  kj::Maybe<idl::DSoftBus::Client> bus;

  Fixture() {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<BusNode>(sim, network, "node-a", IpAddress::v4(10, 42, 0, 10), kj::arrayPtr(TRUSTED_BY_A, 1));
    b = kj::heap<BusNode>(sim, network, "node-b", IpAddress::v4(10, 42, 0, 11), kj::arrayPtr(TRUSTED_BY_B, 1));
    Announce own{kj::str(a->own.deviceId()), BusNode::PORT, a->own.publicIdentity().staticKey, nullptr};
    discovery = kj::heap<Discovery>(sim.timer, DiscoverySettings(), kj::mv(own), a->trust, a->audit, observer,
                                    [](kj::StringPtr, kj::Maybe<SocketAddress>) {});
    bus = newDSoftBusServer(*a->bus, *discovery, a->audit, sim.timer);
  }

  idl::DSoftBus::Client& client() { return KJ_ASSERT_NONNULL(bus); }

  SessionResponse ask(kj::StringPtr peer) {
    auto request = client().sessionRequest();
    request.setPeer(peer);
    return request.send();
  }
};

TEST_CASE("a session is waited for while it is being made, by name or by device id") {
  Fixture f;
  auto byName = f.ask("node-b"), byId = f.ask(f.b->own.deviceId());
  f.sim.advance(5 * kj::SECONDS);
  CHECK_FALSE(byName.poll(f.sim.waitScope));
  f.a->knows(*f.b);
  CHECK(f.sim.run(kj::mv(byName)).getOutcome() == idl::DSoftBus::Outcome::OK);
  auto session = f.sim.run(kj::mv(byId)).getSession();
  auto peer = f.sim.run(kj::Promise<capnp::Response<idl::PeerSession::PeerResults>>(session.peerRequest().send()));
  CHECK(kj::str(peer.getName()) == "node-b");
  CHECK(kj::str(peer.getDeviceId()) == f.b->own.deviceId());
}

TEST_CASE("a peer that this node's network policy forbids to dial is unreachable") {
  Fixture f;
  NetPolicy nothing;
  auto denied = newNetTransport(f.network.manager("node-a", kj::mv(nothing)));
  f.a->bus->setTransport(*denied);
  f.a->knows(*f.b);
  CHECK(f.sim.run(f.ask("node-b")).getOutcome() == idl::DSoftBus::Outcome::UNREACHABLE);
  f.a->bus->setTransport(*f.a->transport);
  CHECK(f.sim.run(f.ask("node-b")).getOutcome() == idl::DSoftBus::Outcome::OK);
}

TEST_CASE("a ping measures the round trip and is bounded; a call is checked before it leaves") {
  Fixture f;
  f.a->knows(*f.b);
  auto session = f.sim.run(f.ask("node-b")).getSession();
  auto ping = session.pingRequest();
  ping.setPayload("abc"_kj.asBytes());
  auto pong = f.sim.run(kj::Promise<capnp::Response<idl::PeerSession::PingResults>>(ping.send()));
  CHECK(pong.getPayload() == "abc"_kj.asBytes());
  CHECK(pong.getRoundTripUs() == 2000);  // a millisecond each way

  auto tooLong = session.pingRequest();
  tooLong.initPayload(257);
  CHECK_THROWS(f.sim.run(tooLong.send().ignoreResult()));

  auto oversized = session.callRequest();
  oversized.setService("samgrd");
  oversized.initFrame(257);
  auto refused = f.sim.run(kj::Promise<capnp::Response<idl::PeerSession::CallResults>>(oversized.send()));
  CHECK(refused.getStatus() == CallStatus::OVERSIZED);
  CHECK(refused.getAuditId() == 0);
  CHECK(f.b->audit.size() == 0);

  for (auto size : {size_t(0), size_t(65)}) {
    auto unnamed = session.callRequest();
    auto name = unnamed.initService(size);
    memset(name.begin(), 'x', size);
    CHECK_THROWS(f.sim.run(unnamed.send().ignoreResult()));
  }
}

TEST_CASE("one more waiting call than the bound is refused, and cancelled ones give their places back") {
  Fixture f;
  kj::Vector<SessionResponse> waiting;
  for (kj::uint i = 0; i < MAX_WAITING_CALLS; i++) waiting.add(f.ask("node-b"));
  f.sim.settle();
  auto failure = kj::runCatchingExceptions([&] { f.sim.run(f.ask("node-b")); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::OVERLOADED);
  waiting.clear();
  f.sim.settle();
  auto again = f.ask("node-b");
  CHECK_FALSE(again.poll(f.sim.waitScope));
  f.a->knows(*f.b);
  CHECK(f.sim.run(kj::mv(again)).getOutcome() == idl::DSoftBus::Outcome::OK);
}

TEST_CASE("peers answers at once, and then waits for a change") {
  Fixture f;
  auto first = f.sim.run(PeersResponse(f.client().peersRequest().send()));
  REQUIRE(first.getPeers().size() == 1);
  CHECK(first.getPeers()[0].getState() == idl::SessionState::IDLE);
  auto request = f.client().peersRequest();
  request.setKnown(first.getGeneration());
  auto next = PeersResponse(request.send());
  CHECK_FALSE(next.poll(f.sim.waitScope));
  f.a->knows(*f.b);
  CHECK(f.sim.run(kj::mv(next)).getGeneration() != first.getGeneration());
}

}  // namespace
}  // namespace nexus
