// Half-open handshakes from more addresses than it takes to fill every place, again and again: a trusted peer comes in.
#include <doctest/doctest.h>

#include "daemons/dsoftbusd/bus/bus-fixture.h"

namespace nexus {
namespace {

using State = idl::SessionState;

constexpr kj::uint SOURCES = 12;  // with four places each: more than there are
const auto A = IpAddress::v4(10, 42, 0, 10), B = IpAddress::v4(10, 42, 0, 11);

IpAddress sourceAddress(kj::uint i) {
  return IpAddress::v4(10, 42, 0, kj::byte(100 + i));
}
kj::String sourceName(kj::uint i) {
  return kj::str("flood-", i);
}

// node-b is flooded, node-a wants to reach it. node-b knows nothing of node-a's address.
struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<BusNode> a, b;
  kj::Array<kj::byte> message1;
  kj::Vector<kj::Own<Transport>> transports;
  kj::Vector<kj::Promise<void>> flood;

  Fixture() {
    network.addNode("node-a", A);
    network.addNode("node-b", B);
    for (kj::uint i = 0; i < SOURCES; i++) network.addNode(sourceName(i), sourceAddress(i));
    static constexpr kj::StringPtr byA[] = {"node-b"_kj}, byB[] = {"node-a"_kj, "p1"_kj, "p2"_kj, "p3"_kj};
    a = kj::heap<BusNode>(sim, network, "node-a", A, kj::arrayPtr(byA, 1));
    b = kj::heap<BusNode>(sim, network, "node-b", B, kj::arrayPtr(byB, 4));
    message1 = firstMessage();
  }

  // What anybody can make of an announcement, and send as often as he likes: a sound first message to node-b.
  kj::Array<kj::byte> firstMessage() {
    auto pipe = kj::newTwoWayPipe();
    FixedEntropy entropy{5};
    auto shaking =
        initiateHandshake(kj::mv(pipe.ends[0]), a->own, ExpectedPeer::of(b->own.publicIdentity()), sim.timer, entropy)
            .eagerlyEvaluate(nullptr);
    auto bytes = kj::heapArray<kj::byte>(52);
    sim.run(pipe.ends[1]->read(bytes.begin(), bytes.size()));
    return bytes;
  }

  kj::Promise<void> hold(Transport& transport, kj::ArrayPtr<const kj::byte> says) {
    for (;;) {
      auto dialled = co_await transport.dial(b->socketAddress());
      if (!dialled.is<kj::Own<kj::AsyncIoStream>>()) continue;
      auto& stream = dialled.get<kj::Own<kj::AsyncIoStream>>();
      try {
        if (says.size() > 0) co_await stream->write(says.begin(), says.size());
        kj::byte rest[1024];
        while (co_await stream->tryRead(rest, 1, sizeof(rest)) > 0) {
        }
      } catch (const kj::Exception&) {  // reset: the next one
      }
      co_await sim.timer.afterDelay(20 * kj::MILLISECONDS);
    }
  }
  void floodWith(kj::ArrayPtr<const kj::byte> says) {
    for (kj::uint i = 0; i < SOURCES; i++) {
      transports.add(newNetTransport(network.manager(sourceName(i))));
      for (int n = 0; n < 4; n++) flood.add(hold(*transports.back(), says).eagerlyEvaluate(nullptr));
    }
    sim.advance(3 * kj::SECONDS);
    REQUIRE(b->bus->halfOpenCount() == 32);
  }

  void checkReached(kj::Duration within) {
    a->knows(*b);
    auto end = sim.timer.now() + within;
    while (a->link("node-b").state() != State::READY && sim.timer.now() < end) {
      sim.advance(10 * kj::MILLISECONDS);
      CHECK(b->bus->halfOpenCount() <= 32);
    }
    CHECK(a->link("node-b").state() == State::READY);
    CHECK(a->call("node-b", "samgrd", resolveFrame()).status == CallStatus::OK);
    CHECK(b->bus->halfOpenOfOneSource() <= 4);
  }
};

TEST_CASE("connections that say nothing hold no trusted peer out, although they come from twelve addresses") {
  Fixture f;
  f.floodWith(nullptr);
  f.checkReached(500 * kj::MILLISECONDS);
  CHECK(f.b->bus->halfOpenCounters().taken > 0);
  CHECK(f.b->bus->halfOpenCounters().refusedRate > 0);
}

TEST_CASE("nor do those with a sound first message") {
  Fixture f;
  f.floodWith(f.message1);
  f.checkReached(500 * kj::MILLISECONDS);
}

TEST_CASE("a peer that was authenticated before is let in past addresses that announce themselves as peers") {
  Fixture f;
  f.a->knows(*f.b);
  f.sim.advance(1 * kj::SECONDS);
  REQUIRE(f.a->link("node-b").state() == State::READY);
  kj::uint next = 0;
  for (auto peer : {"p1"_kj, "p2"_kj, "p3"_kj}) {
    kj::Vector<PeerRoute> routes;
    for (int i = 0; i < 4; i++) routes.add(PeerRoute{0, {sourceAddress(next++), 1}});
    f.b->bus->setRoutes(DeviceIdentity::forTest(peer).deviceId(), routes);
  }
  f.floodWith(f.message1);
  f.network.killConnections("node-a");
  f.sim.advance(1 * kj::MILLISECONDS);
  REQUIRE(f.a->link("node-b").state() != State::READY);
  f.checkReached(500 * kj::MILLISECONDS);
}

TEST_CASE("at the bound one more takes the place of the oldest, that of a known or a speaking one excepted") {
  Fixture f;
  bool keeps = true;
  auto first = newNetTransport(f.network.manager(sourceName(0)));
  auto dialled = f.sim.run(first->dial(f.b->socketAddress()));
  auto& stream = dialled.get<kj::Own<kj::AsyncIoStream>>();
  SUBCASE("it is silent, and nobody knows its address") {
    keeps = false;
  }
  SUBCASE("it has begun its handshake") {
    f.sim.run(stream->write(f.message1.begin(), f.message1.size()));
    kj::byte message2[148];
    f.sim.run(stream->read(message2, sizeof(message2)));
  }
  SUBCASE("a peer is announced at its address") {
    stream = nullptr;
    f.sim.advance(10 * kj::MILLISECONDS);
    PeerRoute route{0, {sourceAddress(0), 1}};
    f.b->bus->setRoutes(DeviceIdentity::forTest("p1").deviceId(), kj::arrayPtr(&route, 1));
    auto again = f.sim.run(first->dial(f.b->socketAddress()));
    stream = kj::mv(again.get<kj::Own<kj::AsyncIoStream>>());
  }
  kj::byte buffer;
  auto closed = stream->tryRead(&buffer, 1, 1);
  kj::Vector<kj::Own<kj::AsyncIoStream>> others;
  for (kj::uint i = 0; i < 32; i++) {
    CHECK_FALSE(closed.poll(f.sim.waitScope));
    auto transport = newNetTransport(f.network.manager(sourceName(1 + i / 4)));
    auto another = f.sim.run(transport->dial(f.b->socketAddress()));
    others.add(kj::mv(another.get<kj::Own<kj::AsyncIoStream>>()));
    f.sim.advance(2 * kj::MILLISECONDS);
  }
  CHECK(closed.poll(f.sim.waitScope) == !keeps);
  CHECK(f.b->bus->halfOpenCount() == 32);
  CHECK(f.b->bus->halfOpenCounters().taken == 1);
  CHECK(f.b->bus->counters().accepted >= 33);
  others.clear();
  f.sim.advance(6 * kj::SECONDS);
  CHECK(f.b->bus->halfOpenCount() == 0);
}

}  // namespace
}  // namespace nexus
