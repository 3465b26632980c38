#include "daemons/dsoftbusd/discovery/discovery.h"

#include <capnp/message.h>
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
  kj::Array<PeerRoute> routes;
};

class Observer final : public BusObserver {
 public:
  kj::uint sent = 0, up = 0, learned = 0;
  void onAnnounceSent(const IpAddress&) override { sent++; }
  void onDiscoveryUp() override { up++; }
  void onPeerLearned(kj::StringPtr, const IpAddress&) override { learned++; }
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
  kj::String names[2] = {kj::str("net"), kj::str("net2")};
  kj::Vector<Heard> addresses;
  Discovery discovery;
  kj::Promise<void> running[2] = {nullptr, nullptr};

  Node(SimClock& sim, kj::StringPtr identity, kj::ArrayPtr<const kj::StringPtr> trusted,
       DiscoverySettings settings = usual())
      : Node(sim, announceOf(identity), trusted, kj::mv(settings)) {}
  Node(SimClock& sim, Announce own, kj::ArrayPtr<const kj::StringPtr> trusted, DiscoverySettings settings = usual())
      : audit(sim.timer),
        trust(trusting(trusted)),
        discovery(sim.timer, kj::mv(settings), kj::mv(own), names, trust, audit, observer,
                  [this](kj::StringPtr id, kj::ArrayPtr<const PeerRoute> routes) {
                    addresses.add(Heard{kj::str(id), kj::heapArray(routes)});
                  }) {}

  static DiscoverySettings usual() {
    DiscoverySettings settings;
    settings.announce.groups.add(GROUP);
    return settings;
  }

  void start(SimClock& sim, idl::NetworkManager::Client net, size_t link = 0) {
    sim.run(discovery.open(link, kj::mv(net)));
    running[link] = discovery.run(link).eagerlyEvaluate([](kj::Exception&&) {});
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
  settings.announce.broadcast = false;
  settings.announce.unicastPeers = kj::arr(SocketAddress{X, PORT});
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
  CHECK(b.addresses[0].routes == kj::arr(PeerRoute{0, SocketAddress{A, 34567}}));
  CHECK(a.addresses[0].routes == kj::arr(PeerRoute{0, SocketAddress{B, 34567}}));
  CHECK(a.observer.learned == 1);
  CHECK(b.observer.learned == 1);
}

TEST_CASE("a peer that is to be answered hears of this node at once, between two rounds, and a stranger does not") {
  Fixture f;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1)), b(f.sim, "b", kj::arrayPtr(TRUSTS_A, 1));
  a.start(f.sim, f.network.manager("a"));
  b.start(f.sim, f.network.manager("b"));
  f.sim.advance(20 * kj::SECONDS);
  auto before = b.addresses.size();
  a.discovery.answer("somebody else");
  f.sim.advance(10 * kj::MILLISECONDS);
  CHECK(b.addresses.size() == before);
  a.discovery.answer(announceOf("b").deviceId);
  f.sim.advance(10 * kj::MILLISECONDS);
  CHECK(b.addresses.size() == before + 1);
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
  CHECK(a.addresses[1].routes.size() == 0);
}

TEST_CASE("a port that is taken is an error that names it") {
  Fixture f;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1)), second(f.sim, "b", kj::arrayPtr(TRUSTS_A, 1));
  a.start(f.sim, f.network.manager("a"));
  auto failure = kj::runCatchingExceptions([&] { f.sim.run(second.discovery.open(0, f.network.manager("a"))); });
  auto what = kj::str(KJ_ASSERT_NONNULL(failure).getDescription());
  CHECK(strstr(what.cStr(), "the discovery port cannot be bound") != nullptr);
}

Announce inMesh(kj::StringPtr identity, kj::StringPtr mesh) {
  auto announce = announceOf(identity);
  announce.mesh = kj::str(mesh);
  return announce;
}

TEST_CASE("nodes of one mesh hear each other; another mesh or none is ignored, counted and told") {
  Fixture f;
  Node a(f.sim, inMesh("a", "lab"), kj::arrayPtr(TRUSTS_B, 1));
  a.start(f.sim, f.network.manager("a"));
  f.send(announceOf("b"));
  CHECK(a.discovery.counters().otherMesh == 1);
  CHECK(KJ_ASSERT_NONNULL(a.discovery.ignored().find(announceOf("b").deviceId)).reason ==
        "it announces itself in no mesh, this node is in the mesh \"lab\"");
  auto generation = a.discovery.generation();
  f.send(inMesh("b", "Lab"));
  CHECK(a.discovery.counters().otherMesh == 2);
  CHECK(a.discovery.generation() != generation);
  CHECK(a.discovery.peers().size() == 0);
  CHECK(a.addresses.size() == 0);
  f.send(inMesh("b", "lab"));
  CHECK(a.discovery.peers().size() == 1);
  CHECK(a.addresses.size() == 1);
  CHECK(a.discovery.ignored().all().empty());
}

TEST_CASE("a node without a mesh ignores those that have one") {
  Fixture f;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1));
  a.start(f.sim, f.network.manager("a"));
  f.send(inMesh("b", "lab"));
  CHECK(a.discovery.counters().otherMesh == 1);
  CHECK(a.discovery.peers().size() == 0);
  f.sim.advance(59 * kj::SECONDS);
  CHECK(a.discovery.ignored().all().size() == 1);
  f.sim.advance(2 * kj::SECONDS);
  CHECK(a.discovery.ignored().all().empty());
}

TEST_CASE("nodes that share nothing but IPv6 find each other by its group") {
  SimClock sim;
  SimNetwork network(sim.timer);
  auto address = [](kj::StringPtr text) { return KJ_ASSERT_NONNULL(IpAddress::tryParse(text)); };
  network.addNode("a", address("fe80::a"), 64);
  network.addNode("b", address("fe80::b"), 64);
  auto settings = [&] {
    auto usual = Node::usual();
    usual.announce.groups.add(address("ff02::4e58:5342"));
    return usual;
  };
  Node a(sim, "a", kj::arrayPtr(TRUSTS_B, 1), settings()), b(sim, "b", kj::arrayPtr(TRUSTS_A, 1), settings());
  a.start(sim, network.manager("a"));
  b.start(sim, network.manager("b"));
  sim.advance(10 * kj::MILLISECONDS);
  REQUIRE(a.addresses.size() >= 1);
  CHECK(a.addresses[0].routes == kj::arr(PeerRoute{0, {address("fe80::b"), 34567}}));
  REQUIRE(b.addresses.size() >= 1);
  CHECK(b.addresses[0].routes == kj::arr(PeerRoute{0, {address("fe80::a"), 34567}}));
}

TEST_CASE("a peer on two links is told with a route over each, and where it is gone the other remains") {
  Fixture f;
  SimNetwork other(f.sim.timer);
  other.addNode("a", IpAddress::v4(10, 43, 0, 10));
  other.addNode("b", IpAddress::v4(10, 43, 0, 11));
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1)), b(f.sim, "b", kj::arrayPtr(TRUSTS_A, 1));
  a.start(f.sim, f.network.manager("a"), 0);
  a.start(f.sim, other.manager("a"), 1);
  b.start(f.sim, f.network.manager("b"), 0);
  f.sim.advance(10 * kj::MILLISECONDS);
  PeerRoute first{0, {B, 34567}}, second{1, {IpAddress::v4(10, 43, 0, 11), 34567}};
  CHECK(a.addresses.back().routes == kj::arr(first));
  b.start(f.sim, other.manager("b"), 1);
  f.sim.advance(10 * kj::MILLISECONDS);
  CHECK(a.addresses.back().routes == kj::arr(second, first));
  f.network.cut("b");
  f.sim.advance(70 * kj::SECONDS);
  CHECK(a.addresses.back().routes == kj::arr(second));
}

TEST_CASE("where the network policy forbids the group the other ways are used, and it is told which") {
  Fixture f;
  auto allow = [](kj::StringPtr rule) { return KJ_ASSERT_NONNULL(NetPolicy::Rule::tryParse(rule)); };
  capnp::MallocMessageBuilder message;
  auto policy = message.initRoot<idl::NetPolicy>();
  for (auto list : {policy.initUdpBind(1), policy.initUdpSend(1)}) {
    auto rule = allow("10.42.0.0/24:37020");
    rule.address.toIdl(list[0].initAddress());
    list[0].setPrefixLength(rule.prefixLength);
    list[0].setFirstPort(rule.firstPort);
    list[0].setLastPort(rule.lastPort);
  }
  auto any = policy.initUdpBind(1);
  any[0].initAddress().setAny();
  any[0].setLastPort(37020);
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1));
  auto narrowed = f.network.manager("a", NetPolicy::fromIdl(policy.asReader()));
  a.start(f.sim, kj::mv(narrowed));
  CHECK(a.discovery.wayInUse(0) ==
        "broadcast to 10.42.0.255, because multicast to 239.42.0.1 failed (denied by the network policy)");
  CHECK(a.observer.up == 0);
  CHECK(a.observer.sent == 1);
}

TEST_CASE("other services are announced at once, and the schedule starts over") {
  Fixture f;
  f.join();
  DiscoverySettings settings;
  settings.announce.broadcast = false;
  settings.announce.groups.add(GROUP);
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1), kj::mv(settings));
  a.start(f.sim, f.network.manager("a"));
  CHECK(f.listen(20 * kj::SECONDS).size() == 5);  // 0, 1, 3, 7, 15
  a.discovery.setServices(nullptr);
  CHECK(f.listen(5 * kj::SECONDS).size() == 3);  // 0, 1, 3
  a.discovery.setServices(nullptr);
  CHECK(f.listen(1 * kj::SECONDS).size() == 0);  // the same again is no news
}

// The network of "a" with a configuration that the test changes.
class ChangingNetwork final : public idl::NetworkManager::Server {
 public:
  explicit ChangingNetwork(idl::NetworkManager::Client real) : real(kj::mv(real)) {}

  IpAddress address = A;
  uint32_t generation = 1;
  Signal changed;

  kj::Promise<void> createUdpSocket(CreateUdpSocketContext context) override {
    auto request = real.createUdpSocketRequest();
    request.setLocal(context.getParams().getLocal());
    return context.tailCall(kj::mv(request));
  }

  kj::Promise<void> getConfig(GetConfigContext context) override {
    auto known = context.getParams().getKnown();
    while (generation == known) co_await changed.wait();
    auto config = context.getResults().initConfig();
    config.setGeneration(generation);
    config.setLinkUp(true);
    auto one = config.initAddresses(1)[0];
    address.toIdl(one.initAddress());
    one.setPrefixLength(24);
  }

 private:
  idl::NetworkManager::Client real;
};

TEST_CASE("a new address is announced from at once, and another change of the configuration is no reason to") {
  Fixture f;
  f.join();
  DiscoverySettings settings;
  settings.announce.broadcast = false;
  settings.announce.groups.add(GROUP);
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1), kj::mv(settings));
  auto owned = kj::heap<ChangingNetwork>(f.network.manager("a"));
  auto& config = *owned;
  a.start(f.sim, kj::mv(owned));
  CHECK(f.listen(20 * kj::SECONDS).size() == 5);
  config.generation++;
  config.changed.fire();
  CHECK(f.listen(2 * kj::SECONDS).size() == 0);
  config.generation++;
  config.address = IpAddress::v4(10, 42, 0, 77);
  config.changed.fire();
  CHECK(f.listen(2 * kj::SECONDS).size() == 2);  // 0, 1
}

TEST_CASE("of a stream of forgeries every one is counted, and one a second is audited") {
  Fixture f;
  DiscoverySettings settings = Node::usual();
  settings.table.perSecond = settings.table.burst = 10000;
  settings.table.totalPerSecond = settings.table.totalBurst = 10000;
  Node a(f.sim, "a", kj::arrayPtr(TRUSTS_B, 1), kj::mv(settings));
  a.start(f.sim, f.network.manager("a"));
  auto forged = announceOf("b");
  forged.staticKey = announceOf("x").staticKey;
  for (int i = 0; i < 100; i++) f.send(forged);  // in half a second
  CHECK(a.discovery.counters().wrongKey == 100);
  CHECK(a.audit.size() == 10);  // as many at once
  for (int i = 0; i < 2000; i++) f.send(forged);
  CHECK(a.discovery.counters().wrongKey == 2100);
  CHECK(a.audit.size() >= 19);
  CHECK(a.audit.size() <= 21);
}

TEST_CASE("a stranger that was heard is told when it becomes trusted, and who had claimed to be it is forgotten") {
  Fixture f;
  Node a(f.sim, "a", nullptr);
  a.start(f.sim, f.network.manager("a"));
  auto forged = announceOf("b");
  forged.staticKey = announceOf("x").staticKey;
  f.send(forged);
  f.send(announceOf("c"));
  f.send(announceOf("d"));
  REQUIRE(a.discovery.peers().size() == 3);
  static constexpr kj::StringPtr nowTrusted[] = {"b"_kj, "c"_kj};
  a.trust = trusting(nowTrusted);
  auto generation = a.discovery.generation();
  a.discovery.trustChanged();
  CHECK(a.discovery.generation() != generation);
  CHECK(a.discovery.counters().wrongKey == 1);
  CHECK(a.discovery.peers().peek(forged.deviceId) == nullptr);
  CHECK(a.discovery.peers().peek(announceOf("d").deviceId) != nullptr);
  REQUIRE(a.addresses.size() == 1);
  CHECK(a.addresses[0].deviceId == announceOf("c").deviceId);
  CHECK(a.addresses[0].routes[0].at == SocketAddress{X, 34567});
  // The device itself is heard as if nobody had claimed to be it.
  f.send(announceOf("b"));
  REQUIRE(a.addresses.size() == 2);
  CHECK(a.addresses[1].deviceId == announceOf("b").deviceId);
}

}  // namespace
}  // namespace nexus
