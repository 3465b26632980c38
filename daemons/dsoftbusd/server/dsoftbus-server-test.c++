#include "daemons/dsoftbusd/server/dsoftbus-server.h"

#include <doctest/doctest.h>

#include "daemons/dsoftbusd/bus/bus-fixture.h"
#include "daemons/dsoftbusd/server/mux-stream-server.h"

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
  kj::String linkName = kj::str("net");
  kj::Own<Discovery> discovery;
  kj::Maybe<idl::DSoftBus::Client> bus;

  Fixture() {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<BusNode>(sim, network, "node-a", IpAddress::v4(10, 42, 0, 10), kj::arrayPtr(TRUSTED_BY_A, 1));
    b = kj::heap<BusNode>(sim, network, "node-b", IpAddress::v4(10, 42, 0, 11), kj::arrayPtr(TRUSTED_BY_B, 1));
    Announce own{kj::str(a->own.deviceId()), BusNode::PORT, a->own.publicIdentity().staticKey, nullptr};
    discovery = kj::heap<Discovery>(sim.timer, DiscoverySettings(), kj::mv(own), kj::arrayPtr(&linkName, 1), a->trust,
                                    a->audit, observer, [](kj::StringPtr, kj::ArrayPtr<const PeerRoute>) {});
    bus = newDSoftBusServer(*a->bus, *discovery, a->audit, sim.timer,
                            [this] { return PolicyTable{a->trust.all(), a->rules}; });
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
  f.a->bus->setTransport(0, *denied);
  f.a->knows(*f.b);
  CHECK(f.sim.run(f.ask("node-b")).getOutcome() == idl::DSoftBus::Outcome::UNREACHABLE);
  f.a->bus->setTransport(0, *f.a->transport);
  CHECK(f.sim.run(f.ask("node-b")).getOutcome() == idl::DSoftBus::Outcome::OK);
}

TEST_CASE("whoever waits for a session hears at once that its peer is trusted no more, and so does who asks later") {
  Fixture f;
  auto waiting = f.ask("node-b");
  CHECK_FALSE(waiting.poll(f.sim.waitScope));
  f.a->bus->applyTrust(nullptr);
  auto before = f.sim.timer.now();
  CHECK(f.sim.run(kj::mv(waiting)).getOutcome() == idl::DSoftBus::Outcome::NOT_TRUSTED);
  CHECK(f.sim.timer.now() == before);
  CHECK(f.sim.run(f.ask("node-b")).getOutcome() == idl::DSoftBus::Outcome::UNKNOWN_PEER);  // and never heard
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

TEST_CASE("a peer that is not heard is at the other end of its session, dialled or taken, and nowhere without one") {
  Fixture f;
  Announce own{kj::str(f.b->own.deviceId()), BusNode::PORT, f.b->own.publicIdentity().staticKey, nullptr};
  Discovery silent(f.sim.timer, DiscoverySettings(), kj::mv(own), kj::arrayPtr(&f.linkName, 1), f.b->trust, f.b->audit,
                   f.observer, [](kj::StringPtr, kj::ArrayPtr<const PeerRoute>) {});
  auto atB = newDSoftBusServer(*f.b->bus, silent, f.b->audit, f.sim.timer,
                               [&] { return PolicyTable{f.b->trust.all(), f.b->rules}; });
  auto peerOf = [&](idl::DSoftBus::Client& bus, auto&& check) {
    auto response = f.sim.run(PeersResponse(bus.peersRequest().send()));
    REQUIRE(response.getPeers().size() == 1);
    auto peer = response.getPeers()[0];
    CHECK_FALSE(peer.getHeard());
    check(SocketAddress::fromIdl(peer.getAddress(), IpAddress::AllowAny::YES));
  };
  peerOf(f.client(), [](SocketAddress at) { CHECK(at.port == 0); });
  f.a->knows(*f.b);
  f.sim.advance(1 * kj::SECONDS);
  peerOf(f.client(), [&](SocketAddress at) { CHECK(at == f.b->socketAddress()); });
  peerOf(atB, [&](SocketAddress at) {
    CHECK(at.address == f.a->address);
    CHECK(at.port != 0);
    CHECK(at.port != BusNode::PORT);  // the one that it dialled from
  });
  f.network.killConnections("node-a");
  f.sim.advance(100 * kj::MILLISECONDS);
  peerOf(atB, [](SocketAddress at) { CHECK(at.port == 0); });
}

// ---- streams

using Opened = kj::Promise<capnp::Response<idl::PeerSession::OpenStreamResults>>;
using Accepted = kj::Promise<capnp::Response<idl::PeerSession::AcceptStreamResults>>;

// Both nodes' capabilities of the one session between them.
struct StreamFixture : Fixture {
  kj::Own<Discovery> discoveryB;
  kj::Maybe<idl::PeerSession::Client> a2b, b2a;

  StreamFixture() {
    Announce own{kj::str(b->own.deviceId()), BusNode::PORT, b->own.publicIdentity().staticKey, nullptr};
    discoveryB = kj::heap<Discovery>(sim.timer, DiscoverySettings(), kj::mv(own), kj::arrayPtr(&linkName, 1), b->trust,
                                     b->audit, observer, [](kj::StringPtr, kj::ArrayPtr<const PeerRoute>) {});
    a->knows(*b);
    a2b = sim.run(ask("node-b")).getSession();
    auto request = newDSoftBusServer(*b->bus, *discoveryB, b->audit, sim.timer, [this] {
                     return PolicyTable{b->trust.all(), b->rules};
                   }).sessionRequest();
    request.setPeer("node-a");
    b2a = sim.run(SessionResponse(request.send())).getSession();
  }

  Opened open(kj::StringPtr name, kj::uint priority = 4) {
    auto request = KJ_ASSERT_NONNULL(a2b).openStreamRequest();
    request.setName(name);
    request.setPriority(priority);
    return request.send();
  }
  Accepted accept() { return KJ_ASSERT_NONNULL(b2a).acceptStreamRequest().send(); }

  kj::Promise<void> write(idl::MuxStream::Client stream, kj::StringPtr text) {
    auto request = stream.writeRequest();
    request.setData(text.asBytes());
    return request.send().ignoreResult();
  }
  kj::Promise<kj::String> read(idl::MuxStream::Client stream, uint32_t most = 1000) {
    auto request = stream.readRequest();
    request.setMaxBytes(most);
    return request.send().then([](auto response) { return kj::heapString(response.getData().asChars()); });
  }
};

TEST_CASE("a stream that a rule allows is opened at one node and accepted at the other, and carries bytes both ways") {
  StreamFixture f;
  auto accepting = f.accept();
  auto opened = f.sim.run(f.open("test/0", 2));
  REQUIRE(opened.getOutcome() == idl::PeerSession::StreamOutcome::OK);
  auto accepted = f.sim.run(kj::mv(accepting));
  CHECK(kj::str(accepted.getName()) == "test/0");
  CHECK(accepted.getPriority() == 2);
  auto mine = opened.getStream(), theirs = accepted.getStream();
  auto first = f.write(mine, "one "), second = f.write(mine, "two");
  auto closed = mine.closeRequest().send().ignoreResult();  // behind both
  f.sim.run(kj::mv(first));
  f.sim.run(kj::mv(second));
  f.sim.run(kj::mv(closed));
  f.sim.advance(10 * kj::MILLISECONDS);
  CHECK(f.sim.run(f.read(theirs, 2)) == "on");
  CHECK(f.sim.run(f.read(theirs)) == "e two");
  CHECK(f.sim.run(f.read(theirs)) == "");
  f.sim.run(f.write(theirs, "answer"));
  CHECK(f.sim.run(f.read(mine)) == "answer");
  CHECK_THROWS(f.sim.run(f.write(mine, "after the end")));
}

TEST_CASE("a stream is denied by default, and the decision is in the audit log of the node that took it") {
  StreamFixture f;
  auto refused = f.sim.run(f.open("secrets"));
  CHECK(refused.getOutcome() == idl::PeerSession::StreamOutcome::DENIED);
  auto last = f.b->lastAudit();
  CHECK(refused.getAuditId() == last.id);
  CHECK(last.service == "stream:secrets");
  CHECK(last.verdict == CallStatus::DENIED);
  CHECK_FALSE(f.sim.run(f.open("secrets")).hasStream());
  auto waiting = f.accept();
  f.sim.settle();
  CHECK_FALSE(waiting.poll(f.sim.waitScope));
}

TEST_CASE("a name that is open, and arguments that may not be, are told before anything leaves") {
  StreamFixture f;
  auto first = f.sim.run(f.open("test/0"));
  CHECK(f.sim.run(f.open("test/0")).getOutcome() == idl::PeerSession::StreamOutcome::DUPLICATE_NAME);
  CHECK(f.b->audit.size() == 1);
  char longName[66] = {};
  memset(longName, 'x', 65);
  for (kj::StringPtr name : {""_kj, "a b"_kj, kj::StringPtr(longName)}) CHECK_THROWS(f.sim.run(f.open(name)));
  CHECK_THROWS(f.sim.run(f.open("test/1", 8)));
  CHECK(f.sim.run(f.open("test/1", 7)).getOutcome() == idl::PeerSession::StreamOutcome::OK);
}

TEST_CASE("nobody accepts: the backlog is filled, the next is told, and who accepts then gets the oldest") {
  StreamFixture f;
  kj::Vector<capnp::Response<idl::PeerSession::OpenStreamResults>> kept;
  for (int i = 0; i < 32; i++) kept.add(f.sim.run(f.open(kj::str("test/", i))));
  CHECK(kept.back().getOutcome() == idl::PeerSession::StreamOutcome::OK);
  CHECK(f.sim.run(f.open("test/32")).getOutcome() == idl::PeerSession::StreamOutcome::NOT_ACCEPTED);
  CHECK(kj::str(f.sim.run(f.accept()).getName()) == "test/0");
}

TEST_CASE("writes wait for the reader, at most sixteen of them; reads go on meanwhile") {
  StreamFixture f;
  auto opened = f.sim.run(f.open("test/0"));
  auto accepted = f.sim.run(f.accept());
  auto mine = opened.getStream(), theirs = accepted.getStream();
  auto big = kj::heapString(MUX_MAX_CALL_DATA);
  memset(big.begin(), 'b', big.size());
  CHECK_THROWS(f.sim.run(f.write(mine, kj::str(big, "b"))));
  f.sim.run(f.write(mine, big));  // the initial credit
  kj::Vector<kj::Promise<void>> waiting;
  for (kj::uint i = 0; i < MUX_MAX_WAITING_CALLS; i++) waiting.add(f.write(mine, big));
  f.sim.advance(1 * kj::SECONDS);
  CHECK_FALSE(waiting[0].poll(f.sim.waitScope));
  auto failure = kj::runCatchingExceptions([&] { f.sim.run(f.write(mine, "one more")); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::OVERLOADED);
  f.sim.run(f.write(theirs, "meanwhile"));
  CHECK(f.sim.run(f.read(mine)) == "meanwhile");
  size_t total = 0;
  while (total < (1 + MUX_MAX_WAITING_CALLS) * big.size()) total += f.sim.run(f.read(theirs, 1 << 20)).size();
  for (auto& write : waiting) f.sim.run(kj::mv(write));
  CHECK(f.b->session("node-a")->mux().core().counters().bytesReceived == total);
}

TEST_CASE("a dropped stream is closed in order, a reset one at once, and both leave the session as it was") {
  StreamFixture f;
  {
    auto opened = f.sim.run(f.open("test/0"));
    f.sim.run(f.write(opened.getStream(), "goodbye"));
  }
  auto accepted = f.sim.run(f.accept());
  CHECK(f.sim.run(f.read(accepted.getStream())) == "goodbye");
  CHECK(f.sim.run(f.read(accepted.getStream())) == "");
  auto opened = f.sim.run(f.open("test/1"));
  auto theirs = f.sim.run(f.accept());
  f.sim.run(f.write(opened.getStream(), "never read"));
  f.sim.run(opened.getStream().resetRequest().send().ignoreResult());
  f.sim.advance(10 * kj::MILLISECONDS);
  auto failure = kj::runCatchingExceptions([&] { f.sim.run(f.read(theirs.getStream())); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::DISCONNECTED);
  CHECK(f.sim.run(f.open("test/2")).getOutcome() == idl::PeerSession::StreamOutcome::OK);
}

TEST_CASE("streams fail as DISCONNECTED when the session ends, and so do those who wait for one") {
  StreamFixture f;
  auto opened = f.sim.run(f.open("test/0"));
  auto reading = f.read(opened.getStream());
  auto accepting = f.accept();
  auto accepting2 = f.accept();
  CHECK(f.sim.run(kj::mv(accepting)).hasStream());
  f.sim.settle();
  f.a->session("node-b")->close(CloseReason::SHUTDOWN, kj::str("test"));
  auto first = kj::runCatchingExceptions([&] { f.sim.run(kj::mv(reading)); });
  CHECK(KJ_ASSERT_NONNULL(first).getType() == kj::Exception::Type::DISCONNECTED);
  auto second = kj::runCatchingExceptions([&] { f.sim.run(kj::mv(accepting2)); });
  CHECK(KJ_ASSERT_NONNULL(second).getType() == kj::Exception::Type::DISCONNECTED);
  auto third = kj::runCatchingExceptions([&] { f.sim.run(f.open("test/1")); });
  CHECK(KJ_ASSERT_NONNULL(third).getType() == kj::Exception::Type::DISCONNECTED);
}

TEST_CASE("an audit id that was dropped from the ring and one that was never given are different outcomes") {
  Fixture f;
  auto ask = [&](uint64_t id) {
    auto request = f.client().explainAuditRequest();
    request.setAuditId(id);
    return f.sim.run(kj::Promise<capnp::Response<idl::DSoftBus::ExplainAuditResults>>(request.send()));
  };
  using Outcome = idl::DSoftBus::AuditOutcome;
  CHECK(ask(0).getOutcome() == Outcome::NEVER_GIVEN);
  CHECK(ask(1).getOutcome() == Outcome::NEVER_GIVEN);
  for (size_t i = 0; i <= AuditLog::DEFAULT_CAPACITY; i++)
    f.a->audit.append("node-b", "samgrd", "lookup", CallStatus::DENIED, 7);
  CHECK(ask(1).getOutcome() == Outcome::DROPPED);
  CHECK(ask(AuditLog::DEFAULT_CAPACITY + 2).getOutcome() == Outcome::NEVER_GIVEN);
  auto kept = ask(2);
  CHECK(kept.getOutcome() == Outcome::OK);
  CHECK(kept.getRecord().getId() == 2);
  CHECK(kept.getExplanation().getReason() == idl::PolicyReason::NOT_OFFERED);
}

TEST_CASE("explain answers by the policy of this node, leaves no audit record, and bounds its question") {
  Fixture f;
  auto request = f.client().explainRequest();
  request.setPeer("node-b");
  request.setService("samgrd");
  request.setOperation("resolve-status");
  auto response = f.sim.run(kj::Promise<capnp::Response<idl::DSoftBus::ExplainResults>>(request.send()));
  CHECK(response.getExplanation().getAllowed());
  CHECK(f.a->audit.lastId() == 0);
  auto tooLong = f.client().explainRequest();
  memset(tooLong.initService(MAX_QUESTION_TEXT + 1).begin(), 'x', MAX_QUESTION_TEXT + 1);
  CHECK_THROWS(f.sim.run(tooLong.send().ignoreResult()));
}

TEST_CASE(
    "a client holds at most 64 sessions, the next is refused and counted, and a dropped one gives its place back") {
  Fixture f;
  auto totals = kj::refcounted<ClientTotals>();
  auto newClient = [&] {
    return newDSoftBusServer(
        *f.a->bus, *f.discovery, f.a->audit, f.sim.timer, [&f] { return PolicyTable{f.a->trust.all(), f.a->rules}; },
        kj::addRef(*totals));
  };
  f.bus = newClient();
  f.a->knows(*f.b);
  kj::Vector<idl::PeerSession::Client> held;
  for (kj::uint i = 0; i < totals->limits.sessions; i++) held.add(f.sim.run(f.ask("node-b")).getSession());
  CHECK(totals->sessions == 64);
  auto failure = kj::runCatchingExceptions([&] { f.sim.run(f.ask("node-b")); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::OVERLOADED);
  CHECK(totals->refusedSessions == 1);
  auto mine = f.bus;
  f.bus = newClient();  // another one has its own places
  auto other = f.sim.run(f.ask("node-b")).getSession();
  f.bus = kj::mv(mine);
  held.removeLast();
  f.sim.settle();
  held.add(f.sim.run(f.ask("node-b")).getSession());
  held.clear();
  f.sim.settle();
  CHECK(totals->sessions == 1);
}

TEST_CASE("registered streams are bounded for a client and in all, and released with the capability") {
  Fixture f;
  auto totals = kj::refcounted<ClientTotals>(ClientLimits{.sessions = 64, .registrations = 4, .registrationsInAll = 6});
  auto newClient = [&] {
    return newDSoftBusServer(
        *f.a->bus, *f.discovery, f.a->audit, f.sim.timer, [&f] { return PolicyTable{f.a->trust.all(), f.a->rules}; },
        kj::addRef(*totals));
  };
  kj::Vector<idl::StreamRegistration::Client> held;
  auto take = [&](idl::DSoftBus::Client client, kj::StringPtr peer, kj::StringPtr name) {
    auto request = client.registerStreamRequest();
    request.setPeer(peer);
    request.setName(name);
    auto response = f.sim.run(kj::Promise<capnp::Response<idl::DSoftBus::RegisterStreamResults>>(request.send()));
    if (response.getOutcome() == idl::DSoftBus::Outcome::OK) held.add(response.getRegistration());
    return response.getOutcome();
  };
  auto refused = [&](idl::DSoftBus::Client client, kj::StringPtr name) {
    auto failure = kj::runCatchingExceptions([&] { take(client, "node-b", name); });
    return KJ_ASSERT_NONNULL(failure).getType();
  };
  auto first = newClient(), second = newClient();
  for (int i = 0; i < 4; i++) CHECK(take(first, "node-b", kj::str("test/", i)) == idl::DSoftBus::Outcome::OK);
  CHECK(refused(first, "test/4") == kj::Exception::Type::OVERLOADED);
  for (int i = 4; i < 6; i++) CHECK(take(second, "node-b", kj::str("test/", i)) == idl::DSoftBus::Outcome::OK);
  CHECK(refused(second, "test/6") == kj::Exception::Type::OVERLOADED);
  CHECK(totals->refusedRegistrations == 2);
  held.removeLast();
  f.sim.settle();
  CHECK(take(second, "node-b", "test/6") == idl::DSoftBus::Outcome::OK);
  held.clear();
  f.sim.settle();
  CHECK(totals->registrations == 0);
  CHECK(take(first, "nobody", "test/1") == idl::DSoftBus::Outcome::UNKNOWN_PEER);
  CHECK(refused(first, "two words") == kj::Exception::Type::FAILED);
}

TEST_CASE("a registered stream comes back through the capability after the session was lost") {
  Fixture f;
  f.a->knows(*f.b);
  auto request = f.client().registerStreamRequest();
  request.setPeer("node-b");
  request.setName("test/1");
  auto registration =
      f.sim.run(kj::Promise<capnp::Response<idl::DSoftBus::RegisterStreamResults>>(request.send())).getRegistration();
  auto next = [&] {
    return f.sim.run(
        kj::Promise<capnp::Response<idl::StreamRegistration::NextResults>>(registration.nextRequest().send()));
  };
  auto first = next();
  CHECK(first.getIncarnation() == 1);
  auto stream = first.getStream();
  f.network.killConnections("node-a");
  auto second = next();
  CHECK(second.getOutcome() == idl::PeerSession::StreamOutcome::OK);
  CHECK(second.getIncarnation() == 2);
  auto write = stream.writeRequest();
  write.setData("x"_kj.asBytes());
  auto failure = kj::runCatchingExceptions([&] { f.sim.run(write.send().ignoreResult()); });
  CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::DISCONNECTED);
  f.a->bus->applyTrust(nullptr);
  CHECK(next().getOutcome() == idl::PeerSession::StreamOutcome::NOT_TRUSTED);
}

}  // namespace
}  // namespace nexus
