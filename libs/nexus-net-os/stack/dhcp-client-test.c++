#include "libs/nexus-net-os/stack/dhcp-client.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/stack/stack-fixture.h"
#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

using Origin = idl::NetConfig::Origin;
constexpr IpAddress SERVER = IpAddress::v4(10, 0, 2, 2), OFFERED = IpAddress::v4(10, 0, 2, 15);
constexpr kj::byte DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6, RELEASE = 7;

// A DHCP server of a few lines (RFC 2131), on the far end of the link.
struct DhcpServer {
  ScriptedPeer& peer;
  bool answering = true;
  bool refusing = false;
  IpAddress address = OFFERED;
  uint32_t leaseSeconds = 3600;
  kj::Vector<kj::byte> seen;  // message types, in order
  kj::Vector<kj::TimePoint> at;
  kj::Timer& timer;
  WireFrame last;

  DhcpServer(ScriptedPeer& peer, kj::Timer& timer) : peer(peer), timer(timer) {
    peer.answerArp = false;
    peer.onFrame = [this](const WireFrame& frame) { receive(frame); };
  }

  static kj::byte messageType(kj::ArrayPtr<const kj::byte> message) {
    for (size_t i = 240; i + 2 < message.size() && message[i] != 255; i += 2 + message[i + 1]) {
      if (message[i] == 53) return message[i + 2];
    }
    return 0;
  }

  void receive(const WireFrame& frame) {
    if (frame.isArp() && be16(frame.packet, 6) == 1 && be32(frame.packet, 24) == SERVER.v4Value()) {
      peer.send(ethernetFrame(ScriptedPeer::STACK_MAC, ScriptedPeer::PEER_MAC, 0x0806,
                              arpPacket(2, ScriptedPeer::PEER_MAC, SERVER, ScriptedPeer::STACK_MAC,
                                        IpAddress::v4(be32(frame.packet, 14)))));
    }
    if (!frame.isUdp() || frame.destinationPort != 67) return;
    last = parseFrame(kj::heapArray(frame.bytes.asPtr()));
    kj::byte type = messageType(frame.payload);
    seen.add(type);
    at.add(timer.now());
    if (!answering) return;
    if (type == DISCOVER) send(frame, OFFER);
    if (type == REQUEST) send(frame, refusing ? NAK : ACK);
  }

  void send(const WireFrame& request, kj::byte type) {
    auto message = kj::heapArray<kj::byte>(300);
    memset(message.begin(), 0, message.size());
    memcpy(message.begin(), request.payload.begin(), 44);
    message[0] = 2;
    putBe32(message, 16, address.v4Value());
    putBe32(message, 236, 0x63825363);
    size_t o = 240;
    auto option = [&](kj::byte code, kj::ArrayPtr<const kj::byte> value) {
      message[o++] = code;
      message[o++] = value.size();
      memcpy(message.begin() + o, value.begin(), value.size());
      o += value.size();
    };
    kj::byte number[4];
    option(53, kj::arrayPtr(&type, 1));
    option(54, SERVER.bytes());
    if (type != NAK) {
      putBe32(number, 0, leaseSeconds);
      option(51, number);
      option(1, IpAddress::v4(255, 255, 255, 0).bytes());
      option(3, SERVER.bytes());
      option(6, IpAddress::v4(10, 0, 2, 3).bytes());
    }
    message[o] = 255;
    peer.sendUdp(67, 68, message, IpAddress::v4(255, 255, 255, 255), SERVER);
  }

  size_t count(kj::byte type) {
    size_t n = 0;
    for (kj::byte s : seen) n += s == type;
    return n;
  }
};

struct DhcpFixture : StackFixture {
  DhcpServer server{peer, sim.timer};
  DhcpClient client{stack, 4 * kj::SECONDS};
  DhcpFixture() : StackFixture(ipv4Only(), 1, false) {}
};

TEST_CASE("a lease is bound within a second, with its server, times and name servers") {
  DhcpFixture f;
  auto start = f.sim.timer.now();
  auto result = f.sim.run(f.client.configure());
  CHECK(result.origin == Origin::DHCP);
  CHECK(result.config == Ipv4Config{OFFERED, 24, SERVER});
  CHECK(f.sim.timer.now() - start <= 1 * kj::SECONDS);
  CHECK(f.stack.ipv4Origin() == Origin::DHCP);
  CHECK(KJ_ASSERT_NONNULL(f.stack.ipv4()) == result.config);
  auto lease = KJ_ASSERT_NONNULL(f.client.lease());
  CHECK(lease.server == SERVER);
  CHECK(lease.leaseSeconds == 3600);
  CHECK(lease.renewSeconds == 1800);
  CHECK(lease.rebindSeconds == 3150);
  CHECK(lease.ageSeconds == 0);
  REQUIRE(lease.dnsServers.size() == 1);
  CHECK(lease.dnsServers[0] == IpAddress::v4(10, 0, 2, 3));
  CHECK(f.server.last.destination == IpAddress::v4(255, 255, 255, 255));
  CHECK(f.server.last.sourcePort == 68);
}

TEST_CASE("the lease is renewed at T1, by unicast, and nothing is reported when nothing changes") {
  DhcpFixture f;
  f.server.leaseSeconds = 16;
  f.sim.run(f.client.configure());
  f.sim.advance(1 * kj::SECONDS);
  auto generation = f.stack.generation();
  auto bound = f.sim.timer.now();
  size_t before = f.server.seen.size();
  f.sim.advance(60 * kj::SECONDS);
  CHECK(f.stack.generation() == generation);
  REQUIRE(f.server.seen.size() > before + 3);
  for (size_t i = before; i < f.server.seen.size(); ++i) {
    CHECK(f.server.seen[i] == REQUEST);
    auto wait = f.server.at[i] - (i == before ? bound - 1 * kj::SECONDS : f.server.at[i - 1]);
    CHECK(wait >= 7 * kj::SECONDS);
    CHECK(wait <= 10 * kj::SECONDS);
  }
  CHECK(f.server.last.destination == SERVER);
  CHECK(KJ_ASSERT_NONNULL(f.client.lease()).ageSeconds < 10);
}

TEST_CASE("another address after a refused renewal is reported once") {
  DhcpFixture f;
  f.server.leaseSeconds = 16;
  f.sim.run(f.client.configure());
  f.server.address = IpAddress::v4(10, 0, 2, 99);
  f.server.refusing = true;
  auto changed = f.stack.whenChanged(f.stack.generation());
  f.sim.advance(10 * kj::SECONDS);
  CHECK(changed.poll(f.sim.waitScope));
  f.server.refusing = false;
  f.sim.advance(20 * kj::SECONDS);
  CHECK(KJ_ASSERT_NONNULL(f.stack.ipv4()).address == IpAddress::v4(10, 0, 2, 99));
  auto generation = f.stack.generation();
  f.sim.advance(60 * kj::SECONDS);
  CHECK(f.stack.generation() == generation);
}

TEST_CASE("a server that refuses what it offers is not asked in a storm") {
  DhcpFixture f;
  f.server.refusing = true;
  auto result = f.sim.run(f.client.configure());
  CHECK(result.origin == Origin::FALLBACK);
  CHECK(f.server.count(REQUEST) >= 2);
  CHECK(f.server.count(REQUEST) <= 6);
}

TEST_CASE("an expired lease takes the address away") {
  DhcpFixture f;
  f.server.leaseSeconds = 16;
  f.sim.run(f.client.configure());
  f.server.answering = false;
  auto generation = f.stack.generation();
  f.sim.advance(20 * kj::SECONDS);
  CHECK(f.stack.ipv4() == nullptr);
  CHECK(f.client.lease() == nullptr);
  CHECK(f.stack.generation() != generation);
  f.server.answering = true;
  f.sim.advance(70 * kj::SECONDS);
  CHECK(KJ_ASSERT_NONNULL(f.stack.ipv4()).address == OFFERED);
}

TEST_CASE("without a server the fallback comes after the timeout, and a late offer is not taken") {
  DhcpFixture f;
  f.server.answering = false;
  auto start = f.sim.timer.now();
  auto result = f.sim.run(f.client.configure());
  CHECK(f.sim.timer.now() - start == 4 * kj::SECONDS);
  CHECK(result.origin == Origin::FALLBACK);
  CHECK(result.config == Ipv4Config{IpAddress::v4(10, 42, 0, 10), 24, {}});
  CHECK(f.stack.ipv4Origin() == Origin::FALLBACK);
  CHECK(f.client.lease() == nullptr);
  size_t asked = f.server.seen.size();
  CHECK(asked >= 2);
  f.server.answering = true;
  f.server.send(f.server.last, OFFER);
  f.server.send(f.server.last, ACK);
  f.sim.advance(60 * kj::SECONDS);
  CHECK(f.server.seen.size() == asked);
  CHECK(KJ_ASSERT_NONNULL(f.stack.ipv4()) == result.config);
  CHECK(f.server.count(RELEASE) == 0);
}

TEST_CASE("the time in which a server may answer begins when there is a link, and the first message leaves at once") {
  DhcpFixture f;
  f.server.answering = false;
  f.peer.state = {false, 1500, "no carrier"_kj};
  f.peer.changeLink();
  f.sim.settle();
  auto configured = f.client.configure();
  f.sim.advance(20 * kj::SECONDS);
  CHECK_FALSE(configured.poll(f.sim.waitScope));
  CHECK(f.server.seen.size() == 0);

  auto up = f.sim.timer.now();
  f.peer.state = {true, 1500, ""_kj};
  f.peer.changeLink();
  f.sim.settle();
  REQUIRE(f.server.seen.size() >= 1);
  CHECK(f.server.at[0] == up);
  CHECK(f.sim.run(kj::mv(configured)).origin == Origin::FALLBACK);
  CHECK(f.sim.timer.now() - up == 4 * kj::SECONDS);
}

TEST_CASE("the fallback is the MAC's last byte, and 1 for 0") {
  CHECK(fallbackConfig({{1, 2, 3, 4, 5, 0x0b}}).address == IpAddress::v4(10, 42, 0, 11));
  CHECK(fallbackConfig({{1, 2, 3, 4, 5, 0}}).address == IpAddress::v4(10, 42, 0, 1));
  CHECK(fallbackConfig({{1, 2, 3, 4, 5, 0}}).gateway.isAny());
}

TEST_CASE("malformed answers are not believed") {
  DhcpFixture f;
  f.server.answering = false;
  auto configuring = f.client.configure();
  f.sim.advance(100 * kj::MILLISECONDS);
  // Cut off everywhere, with lengths that point beyond the end, with another transaction id.
  auto message = kj::heapArray<kj::byte>(300);
  memset(message.begin(), 0, message.size());
  memcpy(message.begin(), f.server.last.payload.begin(), 240);
  message[0] = 2;
  for (size_t length = 0; length < 300; ++length) {
    message[240] = 53, message[241] = length % 256, message[242] = OFFER;
    f.peer.sendUdp(67, 68, message.slice(0, length), IpAddress::v4(255, 255, 255, 255), SERVER);
  }
  message[4] ^= 1;
  message[241] = 1;
  f.peer.sendUdp(67, 68, message, IpAddress::v4(255, 255, 255, 255), SERVER);
  f.sim.settle();
  CHECK(f.server.count(REQUEST) == 0);
  CHECK(f.sim.run(kj::mv(configuring)).origin == Origin::FALLBACK);
}

TEST_CASE("when the link comes back the lease is confirmed again") {
  DhcpFixture f;
  f.sim.run(f.client.configure());
  f.peer.state.up = false;
  f.peer.changeLink();
  f.sim.advance(1 * kj::SECONDS);
  size_t before = f.server.seen.size();
  f.peer.state.up = true;
  f.peer.changeLink();
  f.sim.advance(5 * kj::SECONDS);
  CHECK(f.server.seen.size() > before);
  CHECK(KJ_ASSERT_NONNULL(f.stack.ipv4()).address == OFFERED);
}

TEST_CASE("dropping the client gives the lease back") {
  SimClock sim;
  FixedEntropy entropy;
  ScriptedPeer peer;
  DhcpServer server(peer, sim.timer);
  LwipStack stack(sim.timer, entropy, peer, StackFixture::ipv4Only());
  auto running = stack.runLoop().eagerlyEvaluate(nullptr);
  {
    DhcpClient client(stack);
    sim.run(client.configure());
    sim.settle();
  }
  sim.advance(2 * kj::SECONDS);
  CHECK(server.count(RELEASE) == 1);
  CHECK(stack.ipv4() == nullptr);
}

}  // namespace
}  // namespace nexus
