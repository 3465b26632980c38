// A node changes its key, as docs/distributed/trust.md says step by step.
#include <doctest/doctest.h>

#include "tests/sim/sim-bus-node.h"

namespace nexus {
namespace {

using State = idl::SessionState;

PublicIdentity identity(kj::StringPtr text) {
  return DeviceIdentity::forTest(text).publicIdentity();
}

constexpr auto NODE_A = R"(
[dsoftbusd]
nodeName = "node-a"
allowTestIdentity = true
testIdentity = "node-a"
[[dsoftbusd.trust]]
name = "node-b"
)"_kj;

// node-a, which knows node-b by its new key and, for the first minute of virtual time, by its old one.
kj::String nodeA() {
  auto before = identity("node-b"), next = identity("node-b2");
  return kj::str(NODE_A, "deviceId = \"", next.deviceId, "\"\nstaticKey = \"", toHex(next.staticKey),
                 "\"\npreviousDeviceId = \"", before.deviceId, "\"\npreviousStaticKey = \"", toHex(before.staticKey),
                 "\"\npreviousUntil = \"2026-11-20T12:01:00Z\"\n");
}

kj::String nodeB(kj::StringPtr key) {
  return kj::str("[dsoftbusd]\nnodeName = \"node-b\"\nallowTestIdentity = true\ntestIdentity = \"", key,
                 "\"\n[[dsoftbusd.trust]]\nname = \"node-a\"\ntestIdentity = \"node-a\"\n");
}

struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<SimBusNode> a, b;

  Fixture() {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<SimBusNode>(sim, network, "node-a", nodeA());
    b = kj::heap<SimBusNode>(sim, network, "node-b", nodeB("node-b"));
    sim.advance(10 * kj::SECONDS);
    REQUIRE(a->state("node-b") == State::READY);
    REQUIRE(knownAtA() == identity("node-b").deviceId);
  }

  kj::StringPtr knownAtA() { return KJ_ASSERT_NONNULL(a->daemon().sessions().findLink("node-b")).knownAs().deviceId; }
  uint64_t revocations() {
    uint64_t n = 0;
    a->daemon().audit().forEachAfter(0, [&](const AuditEntry& e) { n += e.operation == "revoke" ? 1 : 0; });
    return n;
  }
};

TEST_CASE(
    "the old key has its session, the new one takes its place within the grace, and the end of it goes unnoticed") {
  Fixture f;
  f.b->stop();
  f.b->configure(nodeB("node-b2"));
  f.b->start();
  f.sim.advance(20 * kj::SECONDS);
  CHECK(f.a->state("node-b") == State::READY);
  CHECK(f.knownAtA() == identity("node-b2").deviceId);
  CHECK(f.a->daemon().sessions().links().size() == 1);
  auto live = KJ_ASSERT_NONNULL(f.a->daemon().sessions().findLink("node-b")).session();
  f.sim.advance(60 * kj::SECONDS);
  CHECK_FALSE(KJ_ASSERT_NONNULL(live)->hasEnded());
  CHECK(f.revocations() == 0);
  CHECK(f.a->daemon().trusted().all()[0].previous == nullptr);
}

TEST_CASE("a key that is not changed in time loses its session at the end of the grace, and is a stranger's after it") {
  Fixture f;
  f.sim.advance(49 * kj::SECONDS);
  CHECK(f.a->state("node-b") == State::READY);
  f.sim.advance(2 * kj::SECONDS);
  CHECK(f.a->state("node-b") != State::READY);
  CHECK(f.b->state("node-a") == State::REFUSED);
  CHECK(f.revocations() == 1);
  f.sim.advance(60 * kj::SECONDS);
  CHECK(f.a->daemon().sessions().counters().strangers > 0);
  CHECK(f.a->state("node-b") != State::READY);
  // The new key is late and welcome.
  f.b->stop();
  f.b->configure(nodeB("node-b2"));
  f.b->start();
  f.sim.advance(20 * kj::SECONDS);
  CHECK(f.a->state("node-b") == State::READY);
}

TEST_CASE("a daemon that starts after the grace knows the new key alone") {
  Fixture f;
  f.a->stop();
  f.sim.advance(60 * kj::SECONDS);
  f.a->start();
  f.sim.advance(20 * kj::SECONDS);
  CHECK(f.a->daemon().trusted().all()[0].previous == nullptr);
  CHECK(f.a->state("node-b") != State::READY);
}

}  // namespace
}  // namespace nexus
