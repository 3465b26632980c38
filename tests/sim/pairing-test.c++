// Two nodes that do not know each other, two people, and the network between them.
#include <doctest/doctest.h>
#include <kj/encoding.h>

#include "daemons/dsoftbusd/pairing/pairing-exchange.h"
#include "daemons/dsoftbusd/transport/net-transport.h"
#include "tests/sim/sim-bus-node.h"

namespace nexus {
namespace {

using Outcome = idl::PairOutcome;
using State = idl::SessionState;

const auto A = IpAddress::v4(10, 42, 0, 10), B = IpAddress::v4(10, 42, 0, 11), X = IpAddress::v4(10, 42, 0, 66);

kj::String toml(kj::StringPtr node, kj::StringPtr more, bool broadcast) {
  return kj::str("[dsoftbusd]\nnodeName = \"", node, "\"\nallowTestIdentity = true\ntestIdentity = \"", node,
                 "\"\ntrustFile = \"/state/paired\"\nbroadcast = ", broadcast, "\n", more);
}

// A person at one node.
class Person {
 public:
  Person(SimClock& sim, SimBusNode& node) : sim(sim), trust(node.daemon().newTrustClient()) {}

  Outcome open(kj::StringPtr name, kj::StringPtr peer = "", uint32_t windowMs = 120'000) {
    auto request = trust.pairRequest();
    request.setName(name);
    request.setPeer(peer);
    request.setWindowMs(windowMs);
    auto response = sim.run(kj::Promise<capnp::Response<idl::BusTrust::PairResults>>(request.send()));
    if (response.getOutcome() == Outcome::OK) pairing = response.getPairing();
    return response.getOutcome();
  }
  void close() { pairing = nullptr; }

  // Asks for the code, without waiting for it.
  void look() { shown = KJ_ASSERT_NONNULL(pairing).codeRequest().send(); }
  struct Code {
    Outcome outcome;
    kj::String code, deviceId, reason;
  };
  Code code() {
    auto r = sim.run(kj::mv(KJ_ASSERT_NONNULL(shown)), 300 * kj::SECONDS);
    shown = nullptr;
    return {r.getOutcome(), kj::str(r.getCode()), kj::str(r.getDeviceId()), kj::str(r.getReason())};
  }
  Code see() {
    look();
    return code();
  }

  void say(bool same) {
    auto request = KJ_ASSERT_NONNULL(pairing).confirmRequest();
    request.setSame(same);
    said = request.send();
  }
  Outcome outcome() {
    auto r = sim.run(kj::mv(KJ_ASSERT_NONNULL(said)), 300 * kj::SECONDS);
    said = nullptr;
    reason = kj::str(r.getReason());
    return r.getOutcome();
  }
  bool waits() { return !KJ_ASSERT_NONNULL(said).poll(sim.waitScope); }

  idl::BusTrust::UnpairOutcome unpair(kj::StringPtr peer) {
    auto request = trust.unpairRequest();
    request.setPeer(peer);
    return sim.run(kj::Promise<capnp::Response<idl::BusTrust::UnpairResults>>(request.send())).getOutcome();
  }

  kj::String reason;

 private:
  SimClock& sim;
  idl::BusTrust::Client trust;
  kj::Maybe<idl::Pairing::Client> pairing;
  kj::Maybe<kj::Promise<capnp::Response<idl::Pairing::CodeResults>>> shown;
  kj::Maybe<kj::Promise<capnp::Response<idl::Pairing::ConfirmResults>>> said;
};

struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<SimBusNode> a, b;
  kj::Own<Person> alice, bob;
  kj::String idB = kj::str(DeviceIdentity::forTest("node-b").deviceId());

  explicit Fixture(kj::StringPtr moreA = "", kj::StringPtr moreB = "", bool broadcast = true) {
    network.addNode("node-a", A);
    network.addNode("node-b", B);
    network.addNode("x", X);
    a = kj::heap<SimBusNode>(sim, network, "node-a", toml("node-a", moreA, broadcast));
    b = kj::heap<SimBusNode>(sim, network, "node-b", toml("node-b", moreB, broadcast));
    sim.advance(2 * kj::SECONDS);
    alice = kj::heap<Person>(sim, *a);
    bob = kj::heap<Person>(sim, *b);
  }

  // Both see digits; a dials.
  void meet() {
    REQUIRE(bob->open("node-a") == Outcome::OK);
    REQUIRE(alice->open("node-b", idB) == Outcome::OK);
    auto seenByAlice = alice->see(), seenByBob = bob->see();
    REQUIRE(seenByAlice.outcome == Outcome::OK);
    CHECK(seenByAlice.code == seenByBob.code);
    CHECK(seenByAlice.deviceId == idB);
    CHECK(seenByBob.deviceId == DeviceIdentity::forTest("node-a").deviceId());
  }
  bool nobodyTrusts() {
    return a->daemon().trusted().all().size() == 0 && b->daemon().trusted().all().size() == 0 &&
           a->paired.load().size() == 0 && b->paired.load().size() == 0;
  }
  uint64_t audits(SimBusNode& node, kj::StringPtr operation, CallStatus verdict) {
    uint64_t n = 0;
    node.daemon().audit().forEachAfter(
        0, [&](const AuditEntry& e) { n += e.operation == operation && e.verdict == verdict ? 1 : 0; });
    return n;
  }
};

TEST_CASE("two yeses make two trust tables, a session and no rights, and it outlives both processes") {
  Fixture f;
  f.meet();
  CHECK(f.nobodyTrusts());
  f.alice->say(true);
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.alice->waits());
  CHECK(f.nobodyTrusts());  // one yes is none
  f.bob->say(true);
  CHECK(f.bob->outcome() == Outcome::OK);
  CHECK(f.alice->outcome() == Outcome::OK);
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.a->state("node-b") == State::READY);
  CHECK(f.b->state("node-a") == State::READY);
  auto frame = kj::decodeHex("534d01060a62756e646c656d677264"_kj);
  CHECK(f.a->call("node-b", "samgrd", frame).status == CallStatus::DENIED);
  CHECK(f.audits(*f.a, "pair", CallStatus::OK) == 1);

  f.alice = nullptr, f.bob = nullptr;  // as a daemon does it: its clients go first
  f.a->stop(), f.b->stop();
  f.a->start(), f.b->start();
  f.sim.advance(10 * kj::SECONDS);
  CHECK(f.a->state("node-b") == State::READY);
  CHECK(f.b->daemon().trusted().all()[0].paired);
}

TEST_CASE("an address that was typed is kept with the peer, so that nodes that cannot hear each other have a session") {
  auto deaf = "multicastGroup = \"\"\nmulticastGroup6 = \"\"\n"_kj;
  Fixture f(deaf, deaf, false);
  CHECK(f.a->daemon().peers().peers().size() == 0);
  REQUIRE(f.bob->open("node-a") == Outcome::OK);
  REQUIRE(f.alice->open("node-b", "10.42.0.11") == Outcome::OK);
  REQUIRE(f.alice->see().outcome == Outcome::OK);
  REQUIRE(f.bob->see().outcome == Outcome::OK);
  f.alice->say(true), f.bob->say(true);
  CHECK(f.alice->outcome() == Outcome::OK);
  auto storedA = f.a->paired.load(), storedB = f.b->paired.load();
  CHECK(KJ_ASSERT_NONNULL(storedA[0].address) == SocketAddress{B, 34567});
  CHECK(storedB[0].address == nullptr);  // nobody typed one there
  f.alice = nullptr, f.bob = nullptr;
  f.a->stop(), f.b->stop();
  f.a->start(), f.b->start();
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.a->state("node-b") == State::READY);
}

TEST_CASE("a no on either side leaves no trust on either side, whatever the other said") {
  for (bool aliceSays : {true, false}) {
    for (bool bobFirst : {true, false}) {
      CAPTURE(aliceSays);
      CAPTURE(bobFirst);
      Fixture f;
      f.meet();
      auto& first = bobFirst ? *f.bob : *f.alice;
      auto& second = bobFirst ? *f.alice : *f.bob;
      first.say(bobFirst ? !aliceSays : aliceSays);
      f.sim.advance(1 * kj::SECONDS);
      second.say(bobFirst ? aliceSays : !aliceSays);
      auto outcomeA = f.alice->outcome(), outcomeB = f.bob->outcome();
      CHECK(outcomeA == (aliceSays ? Outcome::REFUSED_THERE : Outcome::REFUSED_HERE));
      CHECK(outcomeB == (aliceSays ? Outcome::REFUSED_HERE : Outcome::REFUSED_THERE));
      f.sim.advance(10 * kj::SECONDS);
      CHECK(f.nobodyTrusts());
    }
  }
}

TEST_CASE("whoever does not answer in time, goes away or loses the network has not agreed") {
  SUBCASE("a window that closes after the other side said yes") {
    Fixture f;
    REQUIRE(f.bob->open("node-a", "", 10'000) == Outcome::OK);
    REQUIRE(f.alice->open("node-b", f.idB) == Outcome::OK);
    (void)f.alice->see(), (void)f.bob->see();
    f.alice->say(true);
    CHECK(f.alice->outcome() == Outcome::FAILED);
    CHECK(f.sim.timer.now() - kj::origin<kj::TimePoint>() >= 12 * kj::SECONDS);
    CHECK(f.nobodyTrusts());
  }
  SUBCASE("a person who said yes and then gave up waiting") {
    Fixture f;
    f.meet();
    f.bob->say(true);
    f.sim.advance(1 * kj::SECONDS);
    f.bob = nullptr;
    f.sim.advance(1 * kj::SECONDS);
    f.alice->say(true);
    CHECK(f.alice->outcome() == Outcome::FAILED);
    CHECK(f.nobodyTrusts());
  }
  SUBCASE("a process that is killed while the digits are compared") {
    Fixture f;
    f.meet();
    f.bob = nullptr;
    f.b->stop();
    f.alice->say(true);
    CHECK(f.alice->outcome() == Outcome::FAILED);
    f.b->start();
    CHECK(f.nobodyTrusts());
  }
  SUBCASE("nobody comes") {
    Fixture f;
    REQUIRE(f.alice->open("node-b", f.idB, 5'000) == Outcome::OK);
    CHECK(f.alice->see().outcome == Outcome::TIMED_OUT);
    CHECK(f.b->daemon().sessions().counters().pairingRefused > 0);
    CHECK(f.nobodyTrusts());
  }
}

TEST_CASE("two people who both name the other still get one pair of digits") {
  Fixture f;
  auto idA = kj::str(DeviceIdentity::forTest("node-a").deviceId());
  auto prefixOfA = kj::heapString(idA.begin(), 8);
  REQUIRE(f.bob->open("node-a", prefixOfA) == Outcome::OK);
  REQUIRE(f.alice->open("node-b", "10.42.0.11") == Outcome::OK);
  f.alice->look(), f.bob->look();
  auto seenByAlice = f.alice->code(), seenByBob = f.bob->code();
  CHECK(seenByAlice.code == seenByBob.code);
  f.alice->say(true), f.bob->say(true);
  CHECK(f.alice->outcome() == Outcome::OK);
  CHECK(f.bob->outcome() == Outcome::OK);
}

TEST_CASE("only the device that was named is taken") {
  Fixture f;
  REQUIRE(f.bob->open("node-a", "0123456789abcdef", 20'000) == Outcome::OK);
  REQUIRE(f.alice->open("node-b", f.idB, 10'000) == Outcome::OK);
  (void)f.alice->see();  // digits perhaps, which nobody has beside them
  f.alice->say(true);
  CHECK(f.alice->outcome() == Outcome::FAILED);
  auto seenByBob = f.bob->see();
  CHECK(seenByBob.outcome == Outcome::TIMED_OUT);
  CHECK(seenByBob.code == "");
  CHECK(f.nobodyTrusts());
}

TEST_CASE("what cannot be paired is refused before a window opens") {
  Fixture f("[[dsoftbusd.trust]]\nname = \"fixed\"\ntestIdentity = \"node-b\"\n");
  CHECK(f.alice->open("a b") == Outcome::BAD_NAME);
  CHECK(f.alice->open("node-b", "not an address") == Outcome::BAD_PEER);
  CHECK(f.alice->open("node-b", "1234567") == Outcome::BAD_PEER);
  CHECK(f.alice->open("fixed") == Outcome::NAME_TAKEN);
  CHECK(f.alice->open("node-c") == Outcome::OK);
  Person carol(f.sim, *f.a);
  CHECK(carol.open("node-d") == Outcome::BUSY);
  f.alice->close();
  f.sim.settle();
  CHECK(carol.open("node-d") == Outcome::OK);
}

TEST_CASE("a full trust table takes nobody more") {
  Fixture f("", "maxTrustedPeers = 1\n[[dsoftbusd.trust]]\nname = \"x\"\ntestIdentity = \"x\"\n");
  CHECK(f.bob->open("node-a") == Outcome::TABLE_FULL);
}

TEST_CASE("a trust file that cannot be written pairs nobody on its side") {
  Fixture g;
  g.meet();
  g.b->paired.full = true;
  g.alice->say(true), g.bob->say(true);
  CHECK(g.bob->outcome() == Outcome::FAILED);
  CHECK(g.b->daemon().trusted().all().size() == 0);
}

TEST_CASE("unpairing ends the session at once, on the disk too, and the other one hears why") {
  Fixture f;
  f.meet();
  f.alice->say(true), f.bob->say(true);
  CHECK(f.alice->outcome() == Outcome::OK);
  CHECK(f.bob->outcome() == Outcome::OK);
  f.sim.advance(5 * kj::SECONDS);
  REQUIRE(f.a->state("node-b") == State::READY);
  CHECK(f.alice->unpair("node-b") == idl::BusTrust::UnpairOutcome::OK);
  f.sim.advance(1 * kj::SECONDS);
  CHECK(f.a->daemon().sessions().findLink("node-b") == nullptr);
  CHECK(f.b->state("node-a") == State::REFUSED);
  CHECK(f.a->paired.load().size() == 0);
  CHECK(f.audits(*f.a, "revoke", CallStatus::UNAUTHENTICATED) == 1);
  CHECK(f.alice->unpair("node-b") == idl::BusTrust::UnpairOutcome::UNKNOWN_PEER);
  CHECK(f.network.connectionCount() == 0);
}

// A third machine that speaks the protocol as it likes.
struct Stranger {
  Fixture& f;
  kj::Own<Transport> transport = newNetTransport(f.network.manager("x"));
  kj::Own<kj::AsyncIoStream> dial() {
    auto dialled = f.sim.run(transport->dial({B, 34567}));
    return kj::mv(dialled.get<kj::Own<kj::AsyncIoStream>>());
  }
};

TEST_CASE("while no window is open a pairing is closed at its first four bytes and counted") {
  Fixture f;
  Stranger stranger{f};
  auto stream = stranger.dial();
  f.sim.run(stream->write(PAIRING_MAGIC.begin(), PAIRING_MAGIC_BYTES));
  kj::byte buffer[1];
  CHECK(f.sim.run(stream->tryRead(buffer, 1, 1)) == 0);
  CHECK(f.b->daemon().sessions().counters().pairingRefused == 1);
  CHECK(f.b->daemon().sessions().counters().handshakeFailures == 0);
}

TEST_CASE("silence, rubbish and slowness cost a stranger its connection and leave the window to the right one") {
  Fixture f;
  REQUIRE(f.bob->open("node-a") == Outcome::OK);
  Stranger stranger{f};
  auto silent = stranger.dial();
  f.sim.run(silent->write(PAIRING_MAGIC.begin(), PAIRING_MAGIC_BYTES));
  f.sim.advance(100 * kj::MILLISECONDS);
  // The one place is taken: a second connection is refused, for five seconds.
  auto second = stranger.dial();
  f.sim.run(second->write(PAIRING_MAGIC.begin(), PAIRING_MAGIC_BYTES));
  kj::byte buffer[64];
  CHECK(f.sim.run(second->tryRead(buffer, 1, sizeof(buffer))) == 0);
  f.sim.advance(5 * kj::SECONDS);
  auto rubbish = stranger.dial();
  f.sim.run(rubbish->write(PAIRING_MAGIC.begin(), PAIRING_MAGIC_BYTES));
  f.sim.run(rubbish->write("\0\0\0\x7f", 4));
  f.sim.advance(100 * kj::MILLISECONDS);
  REQUIRE(f.alice->open("node-b", f.idB) == Outcome::OK);
  CHECK(f.alice->see().code == f.bob->see().code);
}

TEST_CASE("a window does not let itself be tried for ever") {
  Fixture f;
  REQUIRE(f.bob->open("node-a") == Outcome::OK);
  f.bob->look();
  Stranger stranger{f};
  for (int i = 0; i < 9; i++) {
    auto rubbish = stranger.dial();
    f.sim.run(rubbish->write(PAIRING_MAGIC.begin(), PAIRING_MAGIC_BYTES));
    f.sim.run(rubbish->write("\0\0\0\x7f", 4));
    f.sim.advance(500 * kj::MILLISECONDS);
  }
  auto seen = f.bob->code();
  CHECK(seen.outcome == Outcome::FAILED);
  CHECK(f.audits(*f.b, "pair", CallStatus::UNAUTHENTICATED) == 1);
}

// Plays by the rules until it has been given `frames` frames.
void play(Fixture& f, kj::AsyncIoStream& stream, PairingExchange& exchange, int frames) {
  while (frames > 0) {
    KJ_IF_MAYBE (frame, exchange.nextFrame()) {
      f.sim.run(stream.write(frame->begin(), frame->size()));
      continue;
    }
    kj::byte buffer[4 + PAIRING_MAX_FRAME];
    auto bytes = KJ_ASSERT_NONNULL(exchange.expectedBytes());
    REQUIRE(f.sim.run(stream.tryRead(buffer, 4 + bytes, 4 + bytes)) == 4 + bytes);
    REQUIRE(exchange.take(kj::arrayPtr(buffer + 4, bytes)) == nullptr);
    frames--;
  }
}

TEST_CASE("somebody who is dialled and breaks off once it knows the digits gets no second try") {
  Fixture f;
  auto request = f.network.manager("x").createTcpListenerRequest();
  request.initLocal().initAddress().setAny();
  request.getLocal().setPort(34567);
  auto listening =
      f.sim.run(kj::Promise<capnp::Response<idl::NetworkManager::CreateTcpListenerResults>>(request.send()));
  auto acceptor = newNetAcceptor(listening.getListener());
  REQUIRE(f.alice->open("node-b", "10.42.0.66") == Outcome::OK);
  f.alice->look();
  auto mallory = DeviceIdentity::forTest("mallory");
  FixedEntropy entropy(5);
  auto meet = [&](int frames) {
    auto accepted = f.sim.run(acceptor->accept());
    kj::byte magic[PAIRING_MAGIC_BYTES];
    REQUIRE(f.sim.run(accepted.stream->tryRead(magic, 4, 4)) == 4);
    PairingExchange exchange(PairingExchange::Role::RESPONDER, mallory, entropy);
    play(f, *accepted.stream, exchange, frames);
  };
  meet(2);  // the first two messages of the handshake: no harm is done, and alice's node dials again
  meet(3);  // her nonce as well
  auto connects = f.network.counters().connects;
  auto seen = f.alice->code();
  CHECK(seen.outcome == Outcome::FAILED);
  CHECK(seen.code == "");
  f.sim.advance(60 * kj::SECONDS);
  CHECK(f.network.counters().connects == connects);
  CHECK(f.audits(*f.a, "pair", CallStatus::UNAUTHENTICATED) == 1);
}

TEST_CASE("somebody who answers in place of the other shows another device and other digits") {
  // The third machine pairs with b by the rules; alice waits for b and sees nothing of it.
  Fixture f;
  REQUIRE(f.bob->open("node-a") == Outcome::OK);
  f.bob->look();
  Stranger stranger{f};
  auto stream = stranger.dial();
  auto mallory = DeviceIdentity::forTest("mallory");
  FixedEntropy entropy(5);
  PairingExchange exchange(PairingExchange::Role::INITIATOR, mallory, entropy);
  f.sim.run(stream->write(PAIRING_MAGIC.begin(), PAIRING_MAGIC_BYTES));
  play(f, *stream, exchange, 4);
  auto seen = f.bob->code();
  CHECK(seen.deviceId == mallory.deviceId());
  f.bob->say(false);
  CHECK(f.bob->outcome() == Outcome::REFUSED_HERE);
  CHECK(f.nobodyTrusts());
}

}  // namespace
}  // namespace nexus
