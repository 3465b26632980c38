#include "daemons/dsoftbusd/discovery.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/testing/sim-clock.h"
#include "tests/sim/sim-network.h"

namespace nexus {
namespace {

constexpr uint16_t PORT = 37020;
const auto GROUP = IpAddress::v4(239, 42, 0, 1);
const auto A = IpAddress::v4(10, 42, 0, 10), B = IpAddress::v4(10, 42, 0, 11), X = IpAddress::v4(10, 42, 0, 66);

Announce announceOf(kj::StringPtr identity, uint16_t port = 34567) {
  auto known = DeviceIdentity::forTest(identity).publicIdentity();
  return Announce{kj::mv(known.deviceId), port, known.staticKey, kj::arr(kj::str("samgrd"))};
}

struct Heard {
  kj::String deviceId;
  kj::Maybe<SocketAddress> at;
};

class Observer final : public BusObserver {
 public:
  kj::uint sent = 0, up = 0, learned = 0;
  void onAnnounceSent() override { sent++; }
  void onDiscoveryUp() override { up++; }
  void onPeerLearned(kj::StringPtr) override { learned++; }
};

TrustTable trusting(kj::ArrayPtr<const kj::StringPtr> names) {
  return TrustTable(
      KJ_MAP(name, names) { return TrustedPeer{kj::str(name), DeviceIdentity::forTest(name).publicIdentity()}; });
}

// One node's discovery.
struct Node {
  AuditLog audit;
  Observer observer;
  TrustTable trust;
  kj::Vector<Heard> addresses;
  Discovery discovery;
  kj::Promise<void> running = nullptr;

  Node(SimClock& sim, kj::StringPtr identity, kj::ArrayPtr<const kj::StringPtr> trusted,
       DiscoverySettings settings = usual())
      : audit(sim.timer),
        trust(trusting(trusted)),
        discovery(sim.timer, kj::mv(settings), announceOf(identity), trust, audit, observer,
                  [this](kj::StringPtr id, kj::Maybe<SocketAddress> at) { addresses.add(Heard{kj::str(id), at}); }) {}

  static DiscoverySettings usual() {
    DiscoverySettings settings;
    settings.group = GROUP;
    return settings;
  }

  void start(SimClock& sim, idl::NetworkManager::Client net) {
    sim.run(discovery.open(kj::mv(net)));
    running = discovery.run().eagerlyEvaluate([](kj::Exception&&) {});
    sim.settle();
  }
};

// A machine that can send anything and hear everything.
struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Maybe<idl::UdpSocket::Client> raw;

  Fixture() {
    network.addNode("a", A);
    network.addNode("b", B);
    network.addNode("x", X);
    auto request = network.manager("x").createUdpSocketRequest();
    request.initLocal().initAddress().setAny();
    request.getLocal().setPort(PORT);
    raw =
        sim.run(kj::Promise<capnp::Response<idl::NetworkManager::CreateUdpSocketResults>>(request.send())).getSocket();
  }

  void join() {
    auto request = KJ_ASSERT_NONNULL(raw).joinGroupRequest();
    GROUP.toIdl(request.initGroup());
    sim.run(request.send().ignoreResult());
  }

  void send(kj::ArrayPtr<const kj::byte> datagram, IpAddress to = A) {
    auto request = KJ_ASSERT_NONNULL(raw).sendToRequest();
    SocketAddress{to, PORT}.toIdl(request.initTo());
    request.setData(datagram);
    sim.run(request.send().ignoreResult());
    sim.advance(5 * kj::MILLISECONDS);
  }
  void send(const Announce& announce) { send(encodeAnnounce(announce).get<kj::Array<kj::byte>>()); }

  kj::Promise<void> listenLoop(kj::Vector<int64_t>& times) {
    for (;;) {
      co_await KJ_ASSERT_NONNULL(raw).recvFromRequest().send();
      times.add((sim.timer.now() - kj::origin<kj::TimePoint>()) / kj::MILLISECONDS);
    }
  }

  // The times at which announcements arrived here within `span`, milliseconds.
  kj::Vector<int64_t> listen(kj::Duration span) {
    kj::Vector<int64_t> times;
    auto listening = listenLoop(times).eagerlyEvaluate(nullptr);
    sim.advance(span);
    return times;
  }
};

constexpr kj::StringPtr TRUSTS_B[] = {"b"_kj}, TRUSTS_A[] = {"a"_kj};

TEST_CASE(
    "announcements leave at the start and after 1, 2, 4, 8 and then every 15 seconds, to the group and the broadcast") {
  Fixture f;
  f.join();
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1));
  a.start(f.sim, f.network.manager("a"));
  CHECK(a.observer.up == 1);
  auto times = f.listen(61 * kj::SECONDS);
  int64_t expected[] = {1, 1001, 3001, 7001, 15001, 30001, 45001, 60001};
  REQUIRE(times.size() == 16);  // group and broadcast, each time
  for (size_t i = 0; i < 8; i++) {
    CHECK(times[2 * i] == expected[i]);
    CHECK(times[2 * i + 1] == expected[i]);
  }
}

TEST_CASE("without group and broadcast only the configured addresses are told") {
  Fixture f;
  f.join();
  DiscoverySettings settings;
  settings.broadcast = false;
  settings.unicastPeers = kj::arr(SocketAddress{X, PORT});
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1), kj::mv(settings));
  a.start(f.sim, f.network.manager("a"));
  CHECK(f.listen(2 * kj::SECONDS).size() == 2);
}

TEST_CASE("two nodes learn each other, and the later one at once although it is between two rounds of the other") {
  Fixture f;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1)), b(f.sim, "b", kj::arrayPtr(TRUSTS_A, 1));
  a.start(f.sim, f.network.manager("a"));
  f.sim.advance(20 * kj::SECONDS);
  b.start(f.sim, f.network.manager("b"));
  f.sim.advance(10 * kj::MILLISECONDS);
  REQUIRE(b.addresses.size() >= 1);
  CHECK(KJ_ASSERT_NONNULL(b.addresses[0].at) == SocketAddress{A, 34567});
  CHECK(KJ_ASSERT_NONNULL(a.addresses[0].at) == SocketAddress{B, 34567});
  CHECK(a.observer.learned == 1);
  CHECK(b.observer.learned == 1);
}

TEST_CASE("the own announcement is ignored") {
  Fixture f;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1));
  a.start(f.sim, f.network.manager("a"));
  f.send(announceOf("a"));
  CHECK(a.discovery.counters().own == 1);
  CHECK(a.discovery.peers().size() == 0);
}

TEST_CASE("a stranger is seen but nobody is told where to dial it") {
  Fixture f;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1));
  a.start(f.sim, f.network.manager("a"));
  f.send(announceOf("somebody"));
  CHECK(a.discovery.peers().size() == 1);
  CHECK(a.addresses.size() == 0);
}

TEST_CASE("an announcement of a trusted device with another key is refused and audited, and hides nobody") {
  Fixture f;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1));
  a.start(f.sim, f.network.manager("a"));
  f.send(announceOf("b"));
  REQUIRE(a.addresses.size() == 1);
  auto forged = announceOf("b");
  forged.staticKey = announceOf("x").staticKey;
  forged.sessionPort = 6666;
  f.send(forged);
  CHECK(a.discovery.counters().wrongKey == 1);
  CHECK(a.audit.size() == 1);
  CHECK(a.addresses.size() == 1);
  CHECK(KJ_ASSERT_NONNULL(a.discovery.peers().peek(announceOf("b").deviceId)).announce.sessionPort == 34567);
}

TEST_CASE("malformed datagrams are counted and change nothing") {
  Fixture f;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1));
  a.start(f.sim, f.network.manager("a"));
  auto good = encodeAnnounce(announceOf("b")).get<kj::Array<kj::byte>>();
  f.send(nullptr);
  f.send("NXS"_kj.asBytes());
  f.send("garbage that is long enough to be looked at"_kj.asBytes());
  f.send(good.slice(0, good.size() - 1));
  f.send(announceOf("b", 0));  // nobody can be dialled at port 0
  auto version2 = kj::heapArray(good.asPtr());
  version2[4] = 2;
  f.send(version2);
  CHECK(a.discovery.counters().malformed == 6);
  CHECK(a.discovery.peers().size() == 0);
  f.send(good);
  CHECK(a.discovery.peers().size() == 1);
}

TEST_CASE("a source that floods is not listened to beyond its rate, and others still are") {
  Fixture f;
  f.network.addNode("c", IpAddress::v4(10, 42, 0, 12));
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1));
  a.start(f.sim, f.network.manager("a"));
  auto packet = encodeAnnounce(announceOf("somebody")).get<kj::Array<kj::byte>>();
  for (int i = 0; i < 200; i++) {
    auto request = KJ_ASSERT_NONNULL(f.raw).sendToRequest();
    SocketAddress{A, PORT}.toIdl(request.initTo());
    request.setData(packet);
    f.sim.run(request.send().ignoreResult());
    if (i % 10 == 9) f.sim.advance(2 * kj::MILLISECONDS);
  }
  f.sim.advance(5 * kj::MILLISECONDS);
  CHECK(a.discovery.counters().received == 200);
  CHECK(a.discovery.counters().flooded >= 170);
  Node b(f.sim, "b", kj::arrayPtr(TRUSTS_A, 1));
  b.start(f.sim, f.network.manager("b"));
  f.sim.advance(10 * kj::MILLISECONDS);
  CHECK(a.addresses.size() >= 1);
}

TEST_CASE("a peer that is no longer heard ages out after its time to live, and the links are told") {
  Fixture f;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1));
  a.start(f.sim, f.network.manager("a"));
  f.send(announceOf("b"));
  REQUIRE(a.addresses.size() == 1);
  f.sim.advance(59 * kj::SECONDS);
  CHECK(a.discovery.peers().size() == 1);
  f.sim.advance(2 * kj::SECONDS);
  CHECK(a.discovery.peers().size() == 0);
  REQUIRE(a.addresses.size() == 2);
  CHECK(a.addresses[1].at == nullptr);
}

TEST_CASE("a port that is taken is an error that names it") {
  Fixture f;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1)), second(f.sim, "b", kj::arrayPtr(TRUSTS_A, 1));
  a.start(f.sim, f.network.manager("a"));
  auto failure = kj::runCatchingExceptions([&] { f.sim.run(second.discovery.open(f.network.manager("a"))); });
  auto what = kj::str(KJ_ASSERT_NONNULL(failure).getDescription());
  CHECK(strstr(what.cStr(), "the discovery port cannot be bound") != nullptr);
}

}  // namespace
}  // namespace nexus
