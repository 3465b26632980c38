#include "tools/nexusctl/bus-pairing-commands.h"

#include <doctest/doctest.h>

#include "tests/sim/sim-bus-node.h"
#include "tools/nexusctl/sim-doors.h"

namespace nexus::ctl {
namespace {

kj::String toml(kj::StringPtr node, kj::StringPtr more = "") {
  return kj::str("[dsoftbusd]\nnodeName = \"", node, "\"\nallowTestIdentity = true\ntestIdentity = \"", node,
                 "\"\ntrustFile = \"/state/paired\"\n", more);
}

// Two nodes that do not know each other, and a person with a terminal at each.
struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<SimBusNode> a, b;
  SimDoors alice{sim}, bob{sim};

  explicit Fixture(kj::StringPtr moreA = "") {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<SimBusNode>(sim, network, "node-a", toml("node-a", moreA));
    b = kj::heap<SimBusNode>(sim, network, "node-b", toml("node-b"));
    alice.put("/run/nexus/bus-trust.sock", a->daemon().newTrustClient());
    bob.put("/run/nexus/bus-trust.sock", b->daemon().newTrustClient());
    sim.advance(2 * kj::SECONDS);
  }

  struct Both {
    Result alice, bob;
  };
  Both pair(kj::StringPtr aliceTypes, kj::StringPtr bobTypes) {
    alice.console().typed.add(kj::str(aliceTypes));
    bob.console().typed.add(kj::str(bobTypes));
    auto waiting = bob.begin("bus pair node-a");
    auto done = alice.run("bus pair node-b --peer 10.42.0.11");
    return {kj::mv(done), sim.run(kj::mv(waiting))};
  }
};

// The seven digits in what a person was told.
kj::String digitsIn(kj::StringPtr said) {
  for (size_t i = 4; i + 4 < said.size(); i++) {
    auto isDigit = [&](size_t at) { return '0' <= said[at] && said[at] <= '9'; };
    if (said[i] == '-' && isDigit(i - 1) && isDigit(i - 2) && isDigit(i - 3) && isDigit(i + 1) && isDigit(i + 4)) {
      return kj::heapString(said.begin() + i - 3, 8);
    }
  }
  return kj::str("none");
}

TEST_CASE("two people see the same digits, say yes, and the nodes trust each other") {
  Fixture f;
  auto done = f.pair("yes", "yes");
  CHECK(done.alice.exit == Exit::OK);
  CHECK(done.bob.exit == Exit::OK);
  CHECK(contains(done.alice.out, "It gets a session"));
  CHECK(contains(done.alice.out, "what it may do, the rules of the policy"));
  auto digits = digitsIn(f.alice.console().said);
  CHECK(digits.size() == 8);
  CHECK(digits == digitsIn(f.bob.console().said));
  auto idB = kj::str(DeviceIdentity::forTest("node-b").deviceId());
  CHECK(contains(f.alice.console().said, idB.cStr()));

  auto listed = f.alice.run("bus trusted");
  CHECK(contains(listed.out, "node-b  pairing"));
  CHECK(contains(listed.out, idB.cStr()));
  JsonDocument json(f.alice.run("bus trusted --json").out);
  CHECK(json["schema"].getString() == "nexus.trusted/1");
  CHECK(json["most"].getNumber() == 64);
  CHECK(JsonDocument::field(json["peers"].getArray()[0], "origin").getString() == "pairing");

  auto gone = f.alice.run("bus unpair node-b");
  CHECK(gone.exit == Exit::OK);
  CHECK(contains(gone.out, "unpair it there too"));
  CHECK(f.alice.run("bus unpair node-b").exit == Exit::NOT_FOUND);
  CHECK_FALSE(contains(f.alice.run("bus trusted").out, "node-b"));
}

// node-a and node-b are paired; node-b is about to change its key.
struct RekeyFixture : Fixture {
  PublicIdentity before = DeviceIdentity::forTest("node-b").publicIdentity();
  PublicIdentity next = DeviceIdentity::forTest("node-b2").publicIdentity();

  RekeyFixture() {
    auto done = pair("yes", "yes");
    KJ_ASSERT(done.alice.exit == Exit::OK && done.bob.exit == Exit::OK);
    sim.advance(10 * kj::SECONDS);
    KJ_ASSERT(a->state("node-b") == idl::SessionState::READY);
  }

  Result rekey(kj::StringPtr peer, const PublicIdentity& to, kj::StringPtr until) {
    return alice.run(kj::str("bus rekey ", peer, " --device-id ", to.deviceId, " --static-key ", toHex(to.staticKey),
                             " --until ", until));
  }
  void restartAs(SimBusNode& node, kj::StringPtr name, kj::StringPtr key) {
    node.stop();
    node.configure(kj::str("[dsoftbusd]\nnodeName = \"", name, "\"\nallowTestIdentity = true\ntestIdentity = \"", key,
                           "\"\ntrustFile = \"/state/paired\"\n"));
    node.start();
    sim.advance(20 * kj::SECONDS);
  }
  bool inSession() { return a->state("node-b") == idl::SessionState::READY; }
};

TEST_CASE("a paired node changes its key within a grace, over restarts of both, and the old key ends with it") {
  RekeyFixture f;
  auto live = KJ_ASSERT_NONNULL(f.a->daemon().sessions().findLink("node-b")).session();
  auto done = f.rekey("node-b", f.next, "2026-11-20T12:05:00Z");
  CHECK(done.exit == Exit::OK);
  CHECK(contains(done.out,
                 "node-b may use its next key from now on, and the one that it has until 2026-11-20T12:05:00Z."));
  CHECK_FALSE(KJ_ASSERT_NONNULL(live)->hasEnded());
  live = nullptr;
  auto listed = f.alice.run("bus trusted");
  CHECK(contains(listed.out, f.next.deviceId.cStr()));
  CHECK(contains(listed.out, kj::str(f.before.deviceId.slice(0, 8), ".. for 4m").cStr()));

  // node-a crashes before node-b has changed: both keys are accepted by the next process, for what is left.
  f.restartAs(*f.a, "node-a", "node-a");
  CHECK(f.inSession());
  f.restartAs(*f.b, "node-b", "node-b2");
  CHECK(f.inSession());
  CHECK(KJ_ASSERT_NONNULL(f.a->daemon().sessions().findLink("node-b")).knownAs().deviceId == f.next.deviceId);

  f.sim.advance(5 * kj::MINUTES);
  CHECK(f.inSession());
  CHECK(f.a->daemon().trusted().all()[0].previous == nullptr);
  f.restartAs(*f.b, "node-b", "node-b");
  CHECK_FALSE(f.inSession());
  f.restartAs(*f.a, "node-a", "node-a");
  CHECK_FALSE(f.inSession());
}

TEST_CASE("a paired node that has not changed its key when its grace is over loses its session, with a record") {
  RekeyFixture f;
  REQUIRE(f.rekey("node-b", f.next, "2026-11-20T12:01:00Z").exit == Exit::OK);
  f.sim.advance(60 * kj::SECONDS);
  CHECK_FALSE(f.inSession());
  kj::Vector<kj::String> events;
  f.a->daemon().audit().forEachAfter(0, [&](const AuditEntry& e) { events.add(kj::str(e.peer, ' ', e.operation)); });
  auto told = kj::strArray(events, ", ");
  CHECK(contains(told, "node-b pair, node-b rekey, node-b revoke"));
}

TEST_CASE("revocation in the middle of a grace ends both keys, also for the next process") {
  RekeyFixture f;
  REQUIRE(f.rekey("node-b", f.next, "2026-11-20T13:00:00Z").exit == Exit::OK);
  CHECK(f.alice.run("bus unpair node-b").exit == Exit::OK);
  f.sim.advance(20 * kj::SECONDS);
  CHECK(f.a->daemon().sessions().findLink("node-b") == nullptr);
  for (auto key : {"node-b2", "node-b"}) {
    f.restartAs(*f.b, "node-b", key);
    f.restartAs(*f.a, "node-a", "node-a");
    CHECK(f.a->daemon().trusted().all().size() == 0);
    CHECK(f.b->state("node-a") == idl::SessionState::REFUSED);
  }
}

TEST_CASE("what stands in the way of a new key is a sentence, and nothing is changed") {
  RekeyFixture f;
  auto until = "2026-11-20T13:00:00Z"_kj;
  CHECK(f.rekey("node-q", f.next, until).exit == Exit::NOT_FOUND);
  CHECK(contains(f.rekey("node-b", f.before, until).err, "is the key of \"node-b\" already"));
  auto past = f.rekey("node-b", f.next, "2026-11-20T11:00:00Z");
  CHECK(past.exit == Exit::USAGE);
  CHECK(contains(past.err, "is no time to come; here it is 2026-11-20T12:00:"));
  CHECK(f.rekey("node-b", f.next, "tomorrow").exit == Exit::USAGE);
  CHECK(f.alice.run(kj::str("bus rekey node-b --device-id 12 --static-key 34 --until ", until)).exit == Exit::USAGE);
  f.a->paired.full = true;
  auto full = f.rekey("node-b", f.next, until);
  CHECK(full.exit == Exit::OTHER);
  CHECK(contains(full.err, "nothing was changed"));
  CHECK(f.a->daemon().trusted().all()[0].identity.deviceId == f.before.deviceId);
}

TEST_CASE("a configured node gets its next key in the file, and is told so") {
  auto next = DeviceIdentity::forTest("node-b2").publicIdentity();
  Fixture configured("[[dsoftbusd.trust]]\nname = \"fixed\"\ntestIdentity = \"x\"\n");
  auto entry = configured.alice.run(kj::str("bus rekey fixed --device-id ", next.deviceId, " --static-key ",
                                            toHex(next.staticKey), " --until 2026-11-20T13:00:00Z"));
  CHECK(contains(entry.err, "nexusctl policy reload"));
}

TEST_CASE("a no, and the end of the input, are no; both people hear it") {
  Fixture f;
  auto done = f.pair("yes", "no");
  CHECK(done.alice.exit == Exit::DENIED);
  CHECK(done.bob.exit == Exit::DENIED);
  CHECK(contains(done.alice.err, "at the other node the digits were said to differ"));
  CHECK_FALSE(contains(f.alice.run("bus trusted").out, "node-b"));
  // Nothing left to type.
  auto waiting = f.bob.begin("bus pair node-a");
  CHECK(f.alice.run("bus pair node-b --peer 10.42.0.11").exit == Exit::DENIED);
  CHECK(f.sim.run(kj::mv(waiting)).exit == Exit::DENIED);
}

TEST_CASE("anything else than yes or no is asked again") {
  Fixture f;
  f.alice.console().typed.add(kj::str("y"));
  auto done = f.pair("yes", "yes");
  CHECK(done.alice.exit == Exit::OK);
  CHECK(contains(f.alice.console().said, "Type yes or no"));
}

TEST_CASE("what stands in the way is a sentence with a remedy and an exit status") {
  Fixture f("[[dsoftbusd.trust]]\nname = \"fixed\"\ntestIdentity = \"x\"\n");
  CHECK(f.alice.run("bus pair").exit == Exit::USAGE);
  CHECK(f.alice.run("bus pair a/b").exit == Exit::USAGE);
  CHECK(f.alice.run("bus pair node-b --peer nowhere").exit == Exit::USAGE);
  CHECK(f.alice.run("bus pair node-b --window 0").exit == Exit::USAGE);
  auto taken = f.alice.run("bus pair fixed");
  CHECK(taken.exit == Exit::OTHER);
  CHECK(contains(taken.err, "Choose another name"));
  auto late = f.alice.run("bus pair node-b --window 2 --peer 10.42.0.11");
  CHECK(late.exit == Exit::TIMED_OUT);
  CHECK(contains(late.err, "on both nodes within the window"));
  auto configured = f.alice.run("bus unpair fixed");
  CHECK(configured.exit == Exit::OTHER);
  CHECK(contains(configured.err, "nexusctl policy reload"));
  SimDoors nowhere(f.sim);
  CHECK(nowhere.run("bus trusted").exit == Exit::NOT_RUNNING);
}

}  // namespace
}  // namespace nexus::ctl
