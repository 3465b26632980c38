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
