#include "libs/nexus-net-os/stack/udp-conn.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/stack/stack-fixture.h"
#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

using idl::Outcome;
constexpr IpAddress PEER = ScriptedPeer::PEER, STACK = ScriptedPeer::STACK;
bool isUdp(const WireFrame& f) {
  return f.isUdp();
}

struct UdpFixture : StackFixture {
  explicit UdpFixture(StackOptions options = ipv4Only()) : StackFixture(options) {}

  kj::Own<UdpConn> bind(uint16_t port, IpAddress address = {}) {
    auto result = UdpConn::bind(stack, {address, port});
    KJ_ASSERT(result.outcome == Outcome::OK);
    return kj::mv(result.conn);
  }
};

TEST_CASE("a datagram to a neighbour asks for its address first, then goes there") {
  UdpFixture f;
  auto conn = f.bind(5000);
  CHECK(conn->sendTo({PEER, 7}, bytesOf("hello")) == Outcome::OK);
  auto arp = f.expect([](auto& frame) { return frame.isArp(); });
  CHECK(arp.to == ScriptedPeer::BROADCAST);
  CHECK(be32(arp.packet, 24) == PEER.v4Value());
  auto udp = f.expect(isUdp);
  CHECK(udp.to == ScriptedPeer::PEER_MAC);
  CHECK(udp.source == STACK);
  CHECK(udp.destination == PEER);
  CHECK(udp.sourcePort == 5000);
  CHECK(udp.destinationPort == 7);
  CHECK(textOf(udp.payload) == "hello");
  CHECK(udp.checksumsRight);
}

TEST_CASE("a datagram that arrives keeps its sender and its boundaries") {
  UdpFixture f;
  auto conn = f.bind(5000);
  auto waiting = conn->receive();
  f.peer.sendUdp(7, 5000, bytesOf("one"));
  f.peer.sendUdp(8, 5000, bytesOf("two"));
  auto first = f.sim.run(kj::mv(waiting));
  CHECK(first.from == SocketAddress{PEER, 7});
  CHECK(textOf(first.data) == "one");
  auto second = f.sim.run(conn->receive());
  CHECK(second.from.port == 8);
  CHECK(textOf(second.data) == "two");
}

TEST_CASE("broadcasts are sent to and received from the whole link") {
  UdpFixture f;
  auto conn = f.bind(37020);
  for (auto address : {IpAddress::v4(10, 42, 0, 255), IpAddress::v4(255, 255, 255, 255)}) {
    CHECK(conn->sendTo({address, 37020}, bytesOf("who is there")) == Outcome::OK);
    auto frame = f.expect(isUdp);
    CHECK(frame.to == ScriptedPeer::BROADCAST);
    CHECK(frame.destination == address);
    f.peer.sendUdp(37020, 37020, bytesOf("I am"), address);
    CHECK(textOf(f.sim.run(conn->receive()).data) == "I am");
  }
}

TEST_CASE("joining a group reports it on the wire, and leaving with the socket does too") {
  UdpFixture f;
  auto group = IpAddress::v4(239, 42, 0, 1);
  auto inGroup = [&](const WireFrame& frame) { return frame.isIgmp(); };
  auto toGroup = [&]() {
    auto datagram = udpDatagram(PEER, group, 37020, 37020, bytesOf("announce"));
    f.peer.send(ethernetFrame({{0x01, 0x00, 0x5e, 0x2a, 0x00, 0x01}}, ScriptedPeer::PEER_MAC, 0x0800,
                              ipv4Packet({PEER, group, 17, 1}, datagram)));
    f.sim.settle();
  };
  auto conn = f.bind(37020);
  toGroup();
  CHECK(conn->tryReceive() == nullptr);  // not joined yet

  CHECK(conn->joinGroup(group) == Outcome::OK);
  CHECK(conn->joinGroup(group) == Outcome::OK);
  auto report = f.expect(inGroup);
  CHECK(report.destination == group);
  CHECK(report.ttl == 1);
  CHECK(report.payload[0] == 0x16);  // IGMPv2 membership report, RFC 2236
  CHECK(be32(report.payload, 4) == group.v4Value());
  CHECK(report.checksumsRight);
  CHECK(report.to == MacAddress{{0x01, 0x00, 0x5e, 0x2a, 0x00, 0x01}});
  f.sim.advance(20 * kj::SECONDS);
  CHECK(f.expect(inGroup).payload[0] == 0x16);  // unsolicited reports are repeated
  CHECK(f.quiet(inGroup));                      // and joining twice was joining once

  toGroup();
  CHECK(textOf(KJ_ASSERT_NONNULL(conn->tryReceive()).data) == "announce");
  conn = nullptr;
  auto leave = f.expect(inGroup);
  CHECK(leave.payload[0] == 0x17);
  CHECK(be32(leave.payload, 4) == group.v4Value());
}

// A UDP datagram over IPv6 (RFC 8200) in an Ethernet frame to the group's own address (RFC 2464, 7).
Bytes datagramToGroup6(const IpAddress& from, const IpAddress& group, uint16_t port, kj::StringPtr text) {
  auto packet = kj::heapArray<kj::byte>(48 + text.size());
  uint16_t length = 8 + text.size();
  memset(packet.begin(), 0, packet.size());
  packet[0] = 0x60, packet[6] = 17, packet[7] = 1;
  putBe16(packet, 4, length);
  memcpy(packet.begin() + 8, from.bytes().begin(), 16);
  memcpy(packet.begin() + 24, group.bytes().begin(), 16);
  putBe16(packet, 40, port), putBe16(packet, 42, port), putBe16(packet, 44, length);
  memcpy(packet.begin() + 48, text.begin(), text.size());
  putBe16(packet, 46, internetChecksum(packet.slice(8, packet.size()), 17 + length));
  auto to = group.bytes().slice(12, 16);
  return ethernetFrame({{0x33, 0x33, to[0], to[1], to[2], to[3]}}, ScriptedPeer::PEER_MAC, 0x86dd, packet);
}

TEST_CASE("an IPv6 group is joined, heard and left by MLD") {
  UdpFixture f{StackOptions()};
  f.sim.advance(5 * kj::SECONDS);  // duplicate address detection
  f.peer.sent.clear();
  auto group = KJ_ASSERT_NONNULL(IpAddress::tryParse("ff02::4e58:5342"));
  auto peer = KJ_ASSERT_NONNULL(IpAddress::tryParse("fe80::11"));
  // Behind the IPv6 header and a hop-by-hop header of 8 bytes: the type, and the group 8 bytes on (RFC 2710, 3).
  auto isMld = [&](kj::byte type) {
    return [&group, type](const WireFrame& frame) {
      return frame.type == 0x86dd && frame.packet[6] == 0 && frame.packet[48] == type &&
             IpAddress::fromBytes(frame.packet.slice(56, 72)) == group;
    };
  };
  auto conn = f.bind(37020);
  f.peer.send(datagramToGroup6(peer, group, 37020, "announce"));
  f.sim.settle();
  CHECK(conn->tryReceive() == nullptr);  // not joined yet

  CHECK(conn->joinGroup(group) == Outcome::OK);
  CHECK(conn->joinGroup(group) == Outcome::OK);
  f.sim.advance(2 * kj::SECONDS);
  f.expect(isMld(131));
  f.peer.send(datagramToGroup6(peer, group, 37020, "announce"));
  auto heard = f.sim.run(conn->receive());
  CHECK(heard.from == SocketAddress{peer, 37020});
  CHECK(textOf(heard.data) == "announce");
  CHECK(conn->sendTo({group, 37020}, bytesOf("me too")) == Outcome::OK);
  auto sent = f.expect([](auto& frame) { return frame.type == 0x86dd && frame.packet[6] == 17; });
  CHECK(sent.to == MacAddress{{0x33, 0x33, 0x4e, 0x58, 0x53, 0x42}});
  CHECK(sent.packet[7] == 1);  // this link only
  conn = nullptr;
  f.expect(isMld(132));
}

TEST_CASE("multicast goes out to the group's own Ethernet address with a life of one hop") {
  UdpFixture f;
  auto conn = f.bind(37020);
  CHECK(conn->sendTo({IpAddress::v4(239, 42, 0, 1), 37020}, bytesOf("announce")) == Outcome::OK);
  auto frame = f.expect(isUdp);
  CHECK(frame.to == MacAddress{{0x01, 0x00, 0x5e, 0x2a, 0x00, 0x01}});
  CHECK(frame.ttl == 1);
}

TEST_CASE("the ninth group is refused as overloaded") {
  UdpFixture f;
  auto conn = f.bind(5000);
  for (kj::byte i = 0; i < UdpConn::MAX_GROUPS; ++i) {
    CHECK(conn->joinGroup(IpAddress::v4(239, 1, 1, i)) == Outcome::OK);
  }
  auto error = kj::runCatchingExceptions([&]() { conn->joinGroup(IpAddress::v4(239, 1, 1, 200)); });
  CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::OVERLOADED);
}

TEST_CASE("sixty-four datagrams wait; the next one pushes out the oldest and is counted") {
  UdpFixture f;
  auto conn = f.bind(5000);
  for (uint16_t i = 0; i < UdpConn::QUEUE + 3; ++i) f.peer.sendUdp(100 + i, 5000, bytesOf("x"));
  f.sim.settle();
  CHECK(conn->dropped() == 3);
  CHECK(f.stack.counters().udpOverflow == 3);
  for (uint16_t i = 3; i < UdpConn::QUEUE + 3; ++i) {
    CHECK(KJ_ASSERT_NONNULL(conn->tryReceive()).from.port == 100 + i);
  }
  CHECK(conn->tryReceive() == nullptr);
}

TEST_CASE("a receive that is given up loses no datagram") {
  UdpFixture f;
  auto conn = f.bind(5000);
  {
    auto abandoned = conn->whenReceivable();
    f.peer.sendUdp(7, 5000, bytesOf("kept"));
    f.sim.settle();
    CHECK(abandoned.poll(f.sim.waitScope));
  }
  CHECK(textOf(f.sim.run(conn->receive()).data) == "kept");
}

TEST_CASE("waiting receivers are served in the order of their calls") {
  UdpFixture f;
  auto conn = f.bind(5000);
  auto first = conn->receive();
  auto second = conn->receive();
  f.peer.sendUdp(1, 5000, bytesOf("a"));
  f.peer.sendUdp(2, 5000, bytesOf("b"));
  CHECK(f.sim.run(kj::mv(second)).from.port == 2);
  CHECK(f.sim.run(kj::mv(first)).from.port == 1);
}

TEST_CASE("a port has one owner, and is free again afterwards") {
  UdpFixture f;
  auto conn = f.bind(5000);
  CHECK(UdpConn::bind(f.stack, {{}, 5000}).outcome == Outcome::ADDRESS_IN_USE);
  CHECK(UdpConn::bind(f.stack, {PEER, 5001}).outcome == Outcome::ADDRESS_NOT_AVAILABLE);
  conn = nullptr;
  CHECK(UdpConn::bind(f.stack, {{}, 5000}).outcome == Outcome::OK);
}

TEST_CASE("chosen ports are in the dynamic range and cannot be guessed from one another") {
  uint16_t differences = 0;
  UdpFixture f;
  kj::Vector<kj::Own<UdpConn>> conns;
  for (int i = 0; i < 20; ++i) {
    conns.add(f.bind(0));
    uint16_t port = conns.back()->localAddress().port;
    CHECK(port >= 49152);
    if (i > 0 && port != conns[i - 1]->localAddress().port + 1) ++differences;
  }
  CHECK(differences >= 18);
}

TEST_CASE("a destination without a route is unreachable, one outside the link goes to the gateway") {
  UdpFixture f;
  auto conn = f.bind(5000);
  f.stack.setIpv4({STACK, 24, PEER}, idl::NetConfig::Origin::STATIC);
  CHECK(conn->sendTo({IpAddress::v4(8, 8, 8, 8), 53}, bytesOf("q")) == Outcome::OK);
  CHECK(f.expect(isUdp).to == ScriptedPeer::PEER_MAC);
  f.stack.clearIpv4();
  CHECK(conn->sendTo({IpAddress::v4(8, 8, 8, 8), 53}, bytesOf("q")) == Outcome::UNREACHABLE);
}

TEST_CASE("a large datagram is cut into fragments and put together again") {
  UdpFixture f;
  auto conn = f.bind(5000);
  auto data = kj::heapArray<kj::byte>(4000);
  f.entropy.fill(data);
  CHECK(conn->sendTo({PEER, 7}, data) == Outcome::OK);
  kj::Vector<kj::Array<kj::byte>> pieces;
  size_t total = 0;
  while (total < 4008) {
    auto fragment = f.expect([](auto& frame) { return frame.type == 0x0800; });
    CHECK((fragment.fragment & 0x1fff) * 8u == total);
    total += fragment.payload.size();
    pieces.add(kj::heapArray(fragment.payload));
  }
  CHECK(total == 4008);

  // The other way, last fragment first.
  auto datagram = udpDatagram(PEER, STACK, 7, 5000, data);
  auto send = [&](size_t from, size_t to, bool more) {
    Ipv4Fields fields{PEER, STACK, 17};
    fields.fragment = from / 8 | (more ? 0x2000 : 0);
    f.peer.send(ethernetFrame(ScriptedPeer::STACK_MAC, ScriptedPeer::PEER_MAC, 0x0800,
                              ipv4Packet(fields, datagram.slice(from, to))));
  };
  send(2960, 4008, false);
  send(0, 1480, true);
  send(1480, 2960, true);
  auto received = f.sim.run(conn->receive());
  CHECK(received.data.asPtr() == data.asPtr());
}

TEST_CASE("a full send queue of the link is a loss that is counted, not an error") {
  UdpFixture f;
  auto conn = f.bind(5000);
  conn->sendTo({PEER, 7}, bytesOf("learn the address"));
  f.sim.settle();
  f.peer.capacity = 0;
  CHECK(conn->sendTo({PEER, 7}, bytesOf("lost")) == Outcome::OK);
  CHECK(f.stack.counters().txDropped == 1);
}

TEST_CASE("datagrams to the node's own address come back without touching the link") {
  UdpFixture f;
  auto a = f.bind(5000), b = f.bind(5001);
  CHECK(a->sendTo({STACK, 5001}, bytesOf("to myself")) == Outcome::OK);
  auto datagram = f.sim.run(b->receive());
  CHECK(datagram.from == SocketAddress{STACK, 5000});
  CHECK(textOf(datagram.data) == "to myself");
  CHECK(f.peer.framesSent == 1);  // the gratuitous ARP of the address
}

TEST_CASE("when the stack goes, waiting and later receives fail as disconnected") {
  SimClock sim;
  FixedEntropy entropy;
  ScriptedPeer peer;
  kj::Own<UdpConn> conn;
  kj::Maybe<kj::Promise<UdpConn::Datagram>> waiting;
  {
    LwipStack stack(sim.timer, entropy, peer, StackFixture::ipv4Only());
    conn = UdpConn::bind(stack, {{}, 5000}).conn;
    waiting = conn->receive();
  }
  auto error = kj::runCatchingExceptions([&]() { sim.run(kj::mv(KJ_ASSERT_NONNULL(waiting))); });
  CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::DISCONNECTED);
  error = kj::runCatchingExceptions([&]() { conn->sendTo({PEER, 1}, bytesOf("x")); });
  CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::DISCONNECTED);
}

}  // namespace
}  // namespace nexus
