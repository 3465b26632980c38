#include "daemons/netstackd/netstackd.h"

#include <capnp/message.h>

#include <algorithm>

#include "daemons/netstackd/netstack-fixture.h"
#include "libs/nexus-net-os/stack/scripted-peer.h"

namespace nexus {
namespace {

constexpr IpAddress SERVER = IpAddress::v4(10, 0, 2, 2), LEASED = IpAddress::v4(10, 0, 2, 15);

// A DHCP server (RFC 2131) that leases one address for an hour.
void answerDhcp(ScriptedPeer& peer, const WireFrame& frame) {
  if (!frame.isUdp() || frame.destinationPort != 67 || frame.payload.size() < 243) return;
  kj::byte type = frame.payload[242];  // the first option is the message type
  auto reply = kj::heapArray<kj::byte>(frame.payload.slice(0, 240));
  reply[0] = 2;                                           // BOOTREPLY
  memcpy(reply.begin() + 16, LEASED.bytes().begin(), 4);  // yiaddr
  kj::Vector<kj::byte> message;
  message.addAll(reply);
  const kj::byte options[] = {53,  1,    kj::byte(type == 1 ? 2 : 5),
                              54,  4,    10,
                              0,   2,    2,
                              51,  4,    0,
                              0,   0x0e, 0x10,
                              1,   4,    255,
                              255, 255,  0,
                              3,   4,    10,
                              0,   2,    2,
                              6,   4,    10,
                              0,   2,    3,
                              255};
  message.addAll(options, options + sizeof(options));
  peer.sendUdp(67, 68, message, LEASED, SERVER);
}

struct DaemonFixture {
  IoClock clock;
  FixedEntropy entropy;
  ScriptedPeer peer;
  capnp::MallocMessageBuilder configMessage;
  config::Netstackd::Builder config = configMessage.initRoot<config::Netstackd>();
  kj::Vector<kj::String> marks;
  kj::Maybe<kj::Own<Netstackd>> daemon;
  kj::Promise<void> running = nullptr;

  void start(kj::Promise<void> linkReady = kj::READY_NOW) {
    auto mark = [this](const Marker& marker, kj::StringPtr detail) { marks.add(kj::str(marker.text, detail)); };
    auto linkCounters = [] { return kj::heapArray<NetStatus::Counter>({{"attached", 1}}); };
    auto& d = daemon.emplace(kj::heap<Netstackd>(
        Netstackd::Surroundings{clock.timer, entropy, *clock.io.lowLevelProvider, kj::mv(mark), kj::mv(linkCounters)},
        NetstackdSettings::fromConfig(config), peer, kj::mv(linkReady)));
    running = d->run().eagerlyEvaluate([](kj::Exception&& e) { FAIL(e.getDescription().cStr()); });
  }
  Netstackd& it() { return *KJ_ASSERT_NONNULL(daemon); }

  void pass(kj::Duration duration) { clock.run(kj::Promise<void>(clock.timer.afterDelay(duration))); }
  kj::String story() { return kj::strArray(marks, "\n"); }
};

TEST_CASE("a lease is bound, told with its gateway, and served with its server and times") {
  DaemonFixture f;
  f.peer.onFrame = [&](const WireFrame& frame) { answerDhcp(f.peer, frame); };
  f.start();
  f.pass(10 * kj::SECONDS);
  CHECK(f.story() == "net: dhcp bound 10.0.2.15/24 gw=10.0.2.2\nnet: lwip iface up 10.0.2.15\nnetstackd: facade up");
  auto response = f.clock.run(f.it().newManager(NetPolicy()).getConfigRequest().send().dropPipeline());
  auto config = response.getConfig();
  REQUIRE(config.getAddresses().size() >= 1);
  CHECK(IpAddress::fromIdl(config.getAddresses()[0].getAddress()) == LEASED);
  CHECK(config.getAddresses()[0].getOrigin() == idl::NetConfig::Origin::DHCP);
  CHECK(config.getAddresses()[0].getLease().getLeaseSeconds() == 3600);
  CHECK(IpAddress::fromIdl(config.getAddresses()[0].getLease().getServer()) == SERVER);
  CHECK(IpAddress::fromIdl(config.getGateway()) == SERVER);
  REQUIRE(config.getDnsServers().size() == 1);
  CHECK(IpAddress::fromIdl(config.getDnsServers()[0]) == IpAddress::v4(10, 0, 2, 3));
}

TEST_CASE("without a DHCP server the static fallback from the MAC is told, after the configured time and not before") {
  DaemonFixture f;
  f.config.setDhcpTimeoutMs(2500);
  f.start();
  f.pass(2400 * kj::MILLISECONDS);
  CHECK(f.story() == "");
  f.pass(kj::SECONDS);
  CHECK(f.story() ==
        "net: dhcp unavailable (fallback static 10.42.0.10/24)\nnet: lwip iface up 10.42.0.10\nnetstackd: facade up");
}

TEST_CASE("a static address needs no DHCP and says nothing of it") {
  DaemonFixture f;
  f.config.setAddressing(config::Netstackd::Addressing::STATIC);
  f.config.setAddress("10.42.0.11/24");
  f.config.setGateway("10.42.0.1");
  bool askedDhcp = false;
  f.peer.onFrame = [&](const WireFrame& frame) { askedDhcp |= frame.isUdp() && frame.destinationPort == 67; };
  f.start();
  f.pass(10 * kj::SECONDS);
  CHECK(f.story() == "net: lwip iface up 10.42.0.11\nnetstackd: facade up");
  CHECK_FALSE(askedDhcp);
}

TEST_CASE("a configured linger limit is what every client is told") {
  DaemonFixture f;
  f.config.setAddressing(config::Netstackd::Addressing::STATIC);
  f.config.setAddress("10.42.0.11/24");
  f.config.setStreamLingerMs(2500);
  f.start();
  f.pass(2 * kj::SECONDS);
  auto response = f.clock.run(f.it().newManager(NetPolicy()).getConfigRequest().send().dropPipeline());
  CHECK(response.getConfig().getLimits().getStreamLingerMs() == 2500);
  CHECK(response.getConfig().getLimits().getTcpSockets() == 256);
}

TEST_CASE("the interface is up only once the link is, and the facade only after it") {
  DaemonFixture f;
  f.config.setAddressing(config::Netstackd::Addressing::STATIC);
  f.config.setAddress("10.42.0.11/24");
  f.peer.state = {.up = false, .mtu = 1500, .reason = "no carrier"};
  f.start();
  f.pass(10 * kj::SECONDS);
  CHECK(f.story() == "");
  f.peer.state = {.up = true, .mtu = 1500, .reason = ""};
  f.peer.changeLink();
  f.pass(kj::SECONDS);
  CHECK(f.story() == "net: lwip iface up 10.42.0.11\nnetstackd: facade up");
}

TEST_CASE("a connection outlives its driver: what was sent while the link was away arrives once it is back") {
  DaemonFixture f;
  f.config.setAddressing(config::Netstackd::Addressing::STATIC);
  f.config.setAddress("10.42.0.10/24");
  f.start();
  f.pass(2 * kj::SECONDS);
  auto manager = f.it().newManager(NetPolicy::allowEverything());
  auto listening = manager.createTcpListenerRequest();
  at("*:7000").toIdl(listening.initLocal());
  auto listener = f.clock.run(listening.send().dropPipeline()).getListener();

  TcpFields fields{.sourcePort = 5000, .destinationPort = 7000, .sequence = 1000, .flags = TcpFields::SYN};
  f.peer.sendTcp(fields);
  f.clock.settle();
  auto answer = KJ_ASSERT_NONNULL(f.peer.take([](auto& frame) { return frame.has(TcpFields::SYN | TcpFields::ACK); }));
  fields.sequence = 1001, fields.acknowledgement = answer.tcp.sequence + 1, fields.flags = TcpFields::ACK;
  f.peer.sendTcp(fields);
  auto socket = f.clock.run(listener.acceptRequest().send().dropPipeline()).getSocket();

  // The driver is gone: the port takes nothing and says so.
  f.peer.state = {.up = false, .mtu = 1500, .reason = "driver away"};
  f.peer.capacity = 0;
  f.peer.changeLink();
  auto send = socket.sendRequest();
  send.setData("said while away"_kj.asBytes());
  f.clock.run(send.send().ignoreResult());
  f.pass(3 * kj::SECONDS);
  f.peer.sent.clear();

  f.peer.state = {.up = true, .mtu = 1500, .reason = ""};
  f.peer.capacity = SIZE_MAX;
  f.peer.changeLink();
  f.pass(10 * kj::SECONDS);
  auto data = KJ_ASSERT_NONNULL(f.peer.take([](auto& frame) { return frame.isTcp() && frame.payload.size() > 0; }));
  CHECK(textOf(data.payload) == "said while away");
  fields.acknowledgement = data.tcp.sequence + data.payload.size();
  f.peer.sendTcp(fields, "heard"_kj.asBytes());
  auto recv = socket.recvRequest();
  recv.setMaxBytes(100);
  auto received = f.clock.run(recv.send().dropPipeline());
  CHECK(textOf(received.getData()) == "heard");
}

TEST_CASE("a client that comes before the link waits and is then served under its policy; so is status") {
  DaemonFixture f;
  auto link = kj::newPromiseAndFulfiller<void>();
  f.start(kj::mv(link.promise));
  auto waiting = f.it().newManager(NetPolicy()).getConfigRequest().send().dropPipeline();
  CHECK(f.clock.stays(waiting));
  auto status = f.it().newStatus();
  auto before = f.clock.run(status.snapshotRequest().send().dropPipeline());
  CHECK(before.getStatus().getHealth() == idl::DaemonStatus::Health::STARTING);
  link.fulfiller->fulfill();
  CHECK(f.clock.run(kj::mv(waiting)).getConfig().getLinkUp());
}

TEST_CASE("status tells health, a sentence and the counters of link, stack and servers") {
  DaemonFixture f;
  f.config.setAddressing(config::Netstackd::Addressing::STATIC);
  f.config.setAddress("10.42.0.11/24");
  f.start();
  f.pass(2 * kj::SECONDS);
  auto denied = f.it().newManager(NetPolicy()).connectTcpRequest();
  at("10.42.0.10:1").toIdl(denied.initRemote());
  denied.initLocal().initAddress().setAny();
  CHECK(f.clock.run(denied.send().dropPipeline()).getOutcome() == idl::Outcome::DENIED);

  auto response = f.clock.run(f.it().newStatus().snapshotRequest().send().dropPipeline());
  auto status = response.getStatus();
  CHECK(status.getDaemon() == "netstackd");
  CHECK(status.getHealth() == idl::DaemonStatus::Health::UP);
  CHECK(status.getDetail() == "10.42.0.11/24 by static, link up");
  CHECK(status.getUptimeMs() >= 2000);
  auto valueOf = [&](kj::StringPtr name) -> kj::Maybe<uint64_t> {
    for (auto counter : status.getCounters()) {
      if (counter.getName() == name) return counter.getValue();
    }
    return nullptr;
  };
  CHECK(KJ_ASSERT_NONNULL(valueOf("net.denied")) == 1);
  CHECK(KJ_ASSERT_NONNULL(valueOf("stack.txFrames")) > 0);
  CHECK(KJ_ASSERT_NONNULL(valueOf("link.attached")) == 1);
  CHECK(KJ_ASSERT_NONNULL(valueOf("net.overQuota")) == 0);
  CHECK(valueOf("net.nonsense") == nullptr);

  f.peer.state = {.up = false, .mtu = 1500, .reason = "driver away"};
  f.peer.changeLink();
  f.clock.settle();
  auto down = f.clock.run(f.it().newStatus().snapshotRequest().send().dropPipeline());
  CHECK(down.getStatus().getHealth() == idl::DaemonStatus::Health::DEGRADED);
  CHECK(down.getStatus().getDetail() == "10.42.0.11/24 by static, link down: driver away");
}

TEST_CASE("a configuration that cannot be used is told with its key, before anything starts") {
  auto tryConfig = [](kj::StringPtr address, kj::StringPtr gateway, kj::StringPtr exportName, kj::StringPtr rule) {
    capnp::MallocMessageBuilder message;
    auto config = message.initRoot<config::Netstackd>();
    config.setAddressing(config::Netstackd::Addressing::STATIC);
    config.setAddress(address);
    config.setGateway(gateway);
    auto item = config.initExports(1)[0];
    item.setName(exportName);
    item.initConnect(1).set(0, rule);
    return NetstackdSettings::fromConfig(config);
  };
  auto good = tryConfig("10.42.0.10/24", "10.42.0.1", "net-dsoftbusd", "10.42.0.0/24:34567-34568");
  CHECK(KJ_ASSERT_NONNULL(good.fixed).prefixLength == 24);
  CHECK(good.exports[0].policy.allows(NetPolicy::Action::CONNECT, at("10.42.0.11:34568")));
  for (kj::StringPtr bad : {""_kj, "10.42.0.10"_kj, "10.42.0.10/0"_kj, "10.42.0.10/33"_kj, "*"_kj, "fd00::1/64"_kj}) {
    CHECK_THROWS_WITH_AS(tryConfig(bad, "", "x", "*:*"), doctest::Contains("address"), kj::Exception);
  }
  for (kj::StringPtr bad : {"10.43.0.1"_kj, "10.42.0.10"_kj, "x"_kj, "*"_kj, "fd00::1"_kj}) {
    CHECK_THROWS_WITH_AS(tryConfig("10.42.0.10/24", bad, "x", "*:*"), doctest::Contains("gateway"), kj::Exception);
  }
  for (kj::StringPtr bad : {""_kj, "net"_kj, "status-netstackd"_kj}) {
    CHECK_THROWS_WITH_AS(tryConfig("10.42.0.10/24", "", bad, "*:*"), doctest::Contains("exports"), kj::Exception);
  }
  CHECK_THROWS_WITH_AS(tryConfig("10.42.0.10/24", "", "x", "10.0.2.2"), doctest::Contains("10.0.2.2"), kj::Exception);
  for (uint32_t bad : {0u, 99u, 3'600'001u, UINT32_MAX}) {
    capnp::MallocMessageBuilder message;
    auto config = message.initRoot<config::Netstackd>();
    config.setStreamLingerMs(bad);
    CHECK_THROWS_WITH_AS(NetstackdSettings::fromConfig(config), doctest::Contains("streamLingerMs"), kj::Exception);
  }
}

}  // namespace
}  // namespace nexus
