#include "libs/nexus-net-os/stack/lwip-stack.h"

#include <doctest/doctest.h>
#include <kj/encoding.h>

#include "libs/nexus-net-os/stack/frame-samples.h"
#include "libs/nexus-net-os/stack/pbuf-bridge.h"
#include "libs/nexus-net-os/stack/stack-fixture.h"
#include "libs/nexus-net-os/stack/tcp-listener.h"
#include "libs/nexus-net-os/stack/tiny-tcp.h"
#include "libs/nexus-net-os/stack/udp-conn.h"
#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

using Origin = idl::NetConfig::Origin;
constexpr IpAddress PEER = ScriptedPeer::PEER, STACK = ScriptedPeer::STACK;
constexpr MacAddress PEER_MAC = ScriptedPeer::PEER_MAC, STACK_MAC = ScriptedPeer::STACK_MAC;
bool isArp(const WireFrame& f) {
  return f.isArp();
}

TEST_CASE("a second stack in one process is refused, and made after the first is gone") {
  SimClock sim;
  FixedEntropy entropy;
  ScriptedPeer peer, other;
  {
    LwipStack stack(sim.timer, entropy, peer);
    auto error = kj::runCatchingExceptions([&]() { LwipStack second(sim.timer, entropy, other); });
    CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::FAILED);
  }
  for (int i = 0; i < 5; ++i) LwipStack again(sim.timer, entropy, other);
}

TEST_CASE("a stack that ends under load leaves nothing behind: the next one behaves the same") {
  kj::Vector<kj::String> runs;
  for (int run = 0; run < 2; ++run) {
    StackFixture f(StackFixture::ipv4Only(), 7);
    f.sim.advance(3 * kj::SECONDS);
    kj::Vector<kj::String> story;
    f.peer.onFrame = [&](const WireFrame& frame) {
      story.add(kj::str((f.sim.timer.now() - kj::origin<kj::TimePoint>()) / kj::MICROSECONDS, " ",
                        kj::encodeHex(frame.bytes)));
    };
    auto listening = TcpListener::listen(f.stack, {{}, 80});
    auto bound = UdpConn::bind(f.stack, {{}, 5000});
    bound.conn->joinGroup(IpAddress::v4(239, 42, 0, 1));
    auto connecting = TcpConn::connect(f.stack, {PEER, 1}).eagerlyEvaluate(nullptr);
    for (uint16_t i = 0; i < 20; ++i) f.peer.sendTcp({uint16_t(1000 + i), 80, 1, 0, TcpFields::SYN});
    // An unfinished fragment, and a datagram that waits for ARP.
    Ipv4Fields fragment{PEER, STACK, 17};
    fragment.fragment = 0x2000;
    auto part = kj::heapArray<kj::byte>(1000);
    memset(part.begin(), 1, part.size());
    f.peer.send(ethernetFrame(STACK_MAC, PEER_MAC, 0x0800, ipv4Packet(fragment, part)));
    bound.conn->sendTo({IpAddress::v4(10, 42, 0, 77), 9}, bytesOf("nobody"));
    f.sim.advance(2 * kj::SECONDS);
    runs.add(kj::strArray(story, "\n"));
  }
  CHECK(runs[0].size() > 1000);
  CHECK(runs[0] == runs[1]);
}

TEST_CASE("the stack announces its address, answers who asks for it, and nobody else") {
  StackFixture f(StackFixture::ipv4Only(), 1, false);
  f.stack.setIpv4({STACK, 24, {}}, Origin::STATIC);
  auto announcement = f.expect(isArp);
  CHECK(be32(announcement.packet, 14) == STACK.v4Value());
  CHECK(be32(announcement.packet, 24) == STACK.v4Value());
  auto ask = [&](IpAddress target) {
    f.peer.send(ethernetFrame(ScriptedPeer::BROADCAST, PEER_MAC, 0x0806, arpPacket(1, PEER_MAC, PEER, {}, target)));
  };
  ask(STACK);
  auto reply = f.expect(isArp);
  CHECK(be16(reply.packet, 6) == 2);
  CHECK(reply.to == PEER_MAC);
  CHECK(MacAddress::fromBytes(reply.packet.slice(8, 14)) == STACK_MAC);
  ask(IpAddress::v4(10, 42, 0, 99));
  CHECK(f.quiet(isArp));
}

TEST_CASE("changes of address and link are told, once each") {
  StackFixture f(StackFixture::ipv4Only(), 1, false);
  auto changed = f.stack.whenChanged(f.stack.generation());
  CHECK(!changed.poll(f.sim.waitScope));
  CHECK(f.stack.ipv4() == nullptr);
  Ipv4Config config{STACK, 16, PEER};
  f.stack.setIpv4(config, Origin::STATIC);
  CHECK(changed.poll(f.sim.waitScope));
  CHECK(KJ_ASSERT_NONNULL(f.stack.ipv4()) == config);
  auto generation = f.stack.generation();
  f.stack.setIpv4(config, Origin::STATIC);
  CHECK(f.stack.generation() == generation);
  CHECK(f.stack.whenChanged(0).poll(f.sim.waitScope));
  f.peer.state.up = false;
  f.peer.changeLink();
  f.sim.settle();
  CHECK(f.stack.generation() != generation);
  CHECK(!f.stack.linkState().up);
}

TEST_CASE("a bad configuration is refused") {
  StackFixture f;
  for (auto& bad : {Ipv4Config{{}, 24, {}}, Ipv4Config{STACK, 0, {}}, Ipv4Config{STACK, 33, {}},
                    Ipv4Config{IpAddress::v4(239, 1, 1, 1), 24, {}}}) {
    auto error = kj::runCatchingExceptions([&]() { f.stack.setIpv4(bad, Origin::STATIC); });
    CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::FAILED);
  }
}

TEST_CASE("own frames that a hub sends back are dropped and counted") {
  StackFixture f;
  f.peer.reflect = true;
  auto bound = UdpConn::bind(f.stack, {{}, 37020});
  bound.conn->sendTo({IpAddress::v4(255, 255, 255, 255), 37020}, bytesOf("it is me"));
  f.sim.settle();
  CHECK(bound.conn->tryReceive() == nullptr);
  CHECK(f.stack.counters().rxReflected == 1);
}

TEST_CASE("what one turn of the event loop sends is flushed once") {
  StackFixture f;
  auto bound = UdpConn::bind(f.stack, {{}, 5000});
  bound.conn->sendTo({PEER, 7}, bytesOf("learn"));
  f.sim.settle();
  size_t before = f.peer.flushes, frames = f.peer.framesSent;
  for (int i = 0; i < 10; ++i) bound.conn->sendTo({PEER, 7}, bytesOf("x"));
  f.sim.settle();
  CHECK(f.peer.framesSent == frames + 10);
  CHECK(f.peer.flushes == before + 1);
}

TEST_CASE("an idle stack sleeps: it wakes once a second, not for every timer of lwIP") {
  StackFixture f;
  f.sim.advance(5 * kj::SECONDS);
  size_t wakes = 0;
  auto end = f.sim.timer.now() + 10 * kj::SECONDS;
  for (;;) {
    f.sim.settle();
    auto next = KJ_ASSERT_NONNULL(f.sim.timer.nextEvent());
    if (next > end) break;
    f.sim.timer.advanceTo(next);
    ++wakes;
  }
  CHECK(wakes >= 10);
  CHECK(wakes <= 12);
}

TEST_CASE("short frames are padded, not read beyond their end") {
  StackFixture f;
  f.peer.send(ethernetFrame(ScriptedPeer::BROADCAST, PEER_MAC, 0x0806, arpPacket(1, PEER_MAC, PEER, {}, STACK)));
  CHECK(be16(f.expect(isArp).packet, 6) == 2);  // 42 bytes, and answered
  for (size_t length = 0; length < 14; ++length) f.peer.send(kj::heapArray<kj::byte>(length));
  f.sim.settle();
  CHECK(f.stack.counters().rxTruncated == 14);
  CHECK(f.peer.outstanding() == 0);
}

TEST_CASE("a frame in many pieces is one frame") {
  StackFixture f;
  auto bound = UdpConn::bind(f.stack, {{}, 5000});
  auto data = kj::heapArray<kj::byte>(900);
  f.entropy.fill(data);
  auto frame = ethernetFrame(STACK_MAC, PEER_MAC, 0x0800,
                             ipv4Packet({PEER, STACK, 17}, udpDatagram(PEER, STACK, 7, 5000, data)));
  for (size_t size : {1, 7, 100, 500}) {
    kj::Vector<Bytes> pieces;
    for (size_t at = 0; at < frame.size(); at += size) {
      pieces.add(kj::heapArray<kj::byte>(frame.slice(at, kj::min(at + size, frame.size()))));
    }
    f.peer.sendPieces(kj::mv(pieces));
    CHECK(f.sim.run(bound.conn->receive()).data.asPtr() == data.asPtr());
  }
  CHECK(f.peer.outstanding() == 0);
}

TEST_CASE("a checksum that the sender left unfinished is finished") {
  StackFixture f;
  auto bound = UdpConn::bind(f.stack, {{}, 5000});
  auto frame = ethernetFrame(STACK_MAC, PEER_MAC, 0x0800,
                             ipv4Packet({PEER, STACK, 17}, udpDatagram(PEER, STACK, 7, 5000, bytesOf("partial"))));
  // The field holds the sum of the pseudo header only.
  uint32_t sum = 17 + 8 + 7;
  for (auto& a : {PEER, STACK}) sum += (a.v4Value() >> 16) + (a.v4Value() & 0xffff);
  putBe16(frame, 14 + 20 + 6, (sum & 0xffff) + (sum >> 16));
  FrameMeta meta;
  meta.flags = FrameMeta::NEEDS_CHECKSUM;
  meta.csumStart = 14 + 20;
  meta.csumOffset = 6;
  auto send = [&](FrameMeta meta) {
    kj::Vector<Bytes> pieces;
    pieces.add(kj::heapArray(frame.asPtr()));
    f.peer.sendPieces(kj::mv(pieces), meta);
    f.sim.settle();
  };
  send(meta);
  CHECK(textOf(KJ_ASSERT_NONNULL(bound.conn->tryReceive()).data) == "partial");
  meta.csumOffset = 5000;
  send(meta);
  meta.csumStart = 60000;
  send(meta);
  CHECK(f.stack.counters().rxBadLength == 2);
  send({});  // and without the mark it is simply wrong
  CHECK(bound.conn->tryReceive() == nullptr);
}

TEST_CASE("frames held in place are bounded; beyond the bound they are copied") {
  auto options = StackFixture::ipv4Only();
  options.maxLentPieces = 4;
  StackFixture f(options);
  TinyTcp far(f.peer, f.sim.timer, 80);
  f.peer.onFrame = [&](const WireFrame& frame) { far.receive(frame); };
  auto conn = f.sim.run(TcpConn::connect(f.stack, {PEER, 80})).conn;
  auto data = kj::heapArray<kj::byte>(50 * 1000);
  f.entropy.fill(data);
  far.send(data);
  f.sim.settle();
  CHECK(f.peer.outstanding() <= 4);
  CHECK(conn->available() == data.size());
  CHECK(f.sim.run(conn->read(data.size())).asPtr() == data.asPtr());
  CHECK(f.peer.outstanding() == 0);
}

TEST_CASE("when the heap is full frames are dropped and counted, and the stack goes on") {
  auto options = StackFixture::ipv4Only();
  options.heapLimit = 30000;
  StackFixture f(options);
  auto bound = UdpConn::bind(f.stack, {{}, 5000});
  TinyTcp far(f.peer, f.sim.timer, 80);
  f.peer.onFrame = [&](const WireFrame& frame) { far.receive(frame); };
  auto conn = f.sim.run(TcpConn::connect(f.stack, {PEER, 80})).conn;
  far.mss = 500;  // copied, not lent
  far.send(kj::heapArray<kj::byte>(100 * 1000));
  f.sim.settle();
  if (PbufBridge::LENDS) CHECK(f.stack.counters().rxNoBuffer > 0);  // else frames have memory of their own
  conn->abort();
  f.peer.sendUdp(7, 5000, bytesOf("alive"));
  CHECK(textOf(f.sim.run(bound.conn->receive()).data) == "alive");
}

TEST_CASE("the link-local address passes duplicate detection, and is told") {
  StackFixture f{StackOptions()};
  CHECK(f.stack.linkLocal6() == nullptr);
  f.sim.advance(5 * kj::SECONDS);
  f.expect([](auto& frame) { return frame.type == 0x86dd && frame.packet[40] == 135; });
  auto address = KJ_ASSERT_NONNULL(f.stack.linkLocal6());
  CHECK(address == KJ_ASSERT_NONNULL(IpAddress::tryParse("fe80::5054:ff:fe12:340a")));
}

TEST_CASE("loopback and the link may both have something to send in one turn") {
  StackFixture f;
  auto a = UdpConn::bind(f.stack, {{}, 5000}), b = UdpConn::bind(f.stack, {{}, 5001});
  a.conn->sendTo({PEER, 7}, bytesOf("learn"));
  f.sim.settle();
  f.peer.sent.clear();
  for (int i = 0; i < 3; ++i) {
    size_t flushes = f.peer.flushes;
    a.conn->sendTo({PEER, 7}, bytesOf("out"));
    a.conn->sendTo({STACK, 5001}, bytesOf("in"));
    a.conn->sendTo({STACK, 9}, bytesOf("unreachable"));  // answered through loopback
    f.sim.settle();
    CHECK(f.peer.flushes == flushes + 1);
    CHECK(textOf(KJ_ASSERT_NONNULL(b.conn->tryReceive()).data) == "in");
    CHECK(textOf(f.expect([](auto& frame) { return frame.isUdp(); }).payload) == "out");
  }
}

TEST_CASE("a Packet Too Big that quotes no live connection is dropped and counted") {
  StackFixture f{StackOptions()};
  f.sim.advance(5 * kj::SECONDS);
  auto bound = UdpConn::bind(f.stack, {{}, 5000});
  for (auto& sample : frameSamples()) {
    if (sample.name != "Packet Too Big 1280"_kj) continue;
    f.peer.send(kj::heapArray<kj::byte>(sample.frame.asPtr()));  // TCP port 5000, which nobody has
    f.sim.settle();
    CHECK(f.stack.counters().rxStrayPacketTooBig == 1);
    auto live = kj::heapArray<kj::byte>(sample.frame.asPtr());
    live[14 + 40 + 8 + 6] = 17;  // UDP port 5000, which is bound
    f.peer.send(kj::mv(live));
    f.sim.settle();
    CHECK(f.stack.counters().rxStrayPacketTooBig == 1);
    return;
  }
  FAIL("no such sample");
}

TEST_CASE("nothing is sent while the link is away, and the address is announced when it is back") {
  StackFixture f;
  f.peer.state.up = false;
  f.peer.changeLink();
  f.sim.settle();
  auto bound = UdpConn::bind(f.stack, {{}, 5000});
  CHECK(bound.conn->sendTo({PEER, 7}, bytesOf("x")) == idl::Outcome::UNREACHABLE);
  f.peer.state.up = true;
  f.peer.changeLink();
  f.sim.settle();
  CHECK(be32(f.expect(isArp).packet, 24) == STACK.v4Value());
}

}  // namespace
}  // namespace nexus
