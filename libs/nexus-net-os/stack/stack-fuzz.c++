#include "libs/nexus-net-os/stack/stack-fuzz.h"

#include "libs/nexus-net-os/stack/dhcp-client.h"
#include "libs/nexus-net-os/stack/frame-samples.h"
#include "libs/nexus-net-os/stack/icmp-echo.h"
#include "libs/nexus-net-os/stack/stack-fixture.h"
#include "libs/nexus-net-os/stack/tcp-listener.h"
#include "libs/nexus-net-os/stack/udp-conn.h"
#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

constexpr IpAddress PEER = ScriptedPeer::PEER, STACK = ScriptedPeer::STACK;

Bytes sequence(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> frames) {
  kj::Vector<kj::byte> out;
  for (auto& frame : frames) {
    out.add(frame.size() >> 8);
    out.add(frame.size() & 255);
    out.addAll(frame);
  }
  return out.releaseAsArray();
}

Bytes tcpFrame(const TcpFields& fields, kj::ArrayPtr<const kj::byte> payload = nullptr) {
  return ethernetFrame(ScriptedPeer::STACK_MAC, ScriptedPeer::PEER_MAC, 0x0800,
                       ipv4Packet({PEER, STACK, 6}, tcpSegment(PEER, STACK, fields, payload)));
}

}  // namespace

void fuzzStack(kj::ArrayPtr<const kj::byte> input) {
  StackFixture f{StackOptions()};
  auto listening = TcpListener::listen(f.stack, {{}, 5000}, 4);
  auto bound = UdpConn::bind(f.stack, {{}, 5000});
  bound.conn->joinGroup(IpAddress::v4(239, 42, 0, 1));
  IcmpEcho echo(f.stack);
  auto pinging = echo.ping(PEER, kj::heapArray<kj::byte>(16), 3600 * kj::SECONDS);
  auto connecting = TcpConn::connect(f.stack, {PEER, 5000}, {}, 3600 * kj::SECONDS);
  f.sim.settle();

  for (size_t frames = 0; frames < 64 && input.size() >= 2; ++frames) {
    size_t length = kj::min(size_t(be16(input, 0)), input.size() - 2);
    f.peer.send(kj::heapArray<kj::byte>(input.slice(2, 2 + length)));
    input = input.slice(2 + length, input.size());
    f.sim.settle();
    if (frames % 8 == 7) f.sim.advance(300 * kj::MILLISECONDS);
    KJ_IF_MAYBE (conn, listening.listener->tryAccept()) {
      if ((*conn)->available() > 0) (*conn)->tryRead(100);
    }
    f.peer.sent.clear();
  }

  // Still well: it answers.
  f.sim.advance(2 * kj::SECONDS);
  f.peer.sent.clear();
  f.peer.send(ethernetFrame(ScriptedPeer::BROADCAST, ScriptedPeer::PEER_MAC, 0x0806,
                            arpPacket(1, ScriptedPeer::PEER_MAC, PEER, {}, STACK)));
  f.peer.sendIp(1, icmpEcho(8, 1, 2, bytesOf("well?")));
  f.expect([](auto& frame) { return frame.isIcmp() && frame.payload[0] == 0; });
}

kj::Vector<Bytes> stackSeeds() {
  kj::Vector<Bytes> seeds;
  for (auto& sample : frameSamples()) {
    kj::ArrayPtr<const kj::byte> one[] = {sample.frame};
    seeds.add(sequence(one));
  }
  auto syn = tcpFrame({2000, 5000, 100, 0, TcpFields::SYN});
  auto data = tcpFrame({2000, 5000, 101, 0, TcpFields::ACK}, bytesOf("data"));
  auto hole = tcpFrame({2000, 5000, 120, 0, TcpFields::ACK}, bytesOf("later"));
  auto fin = tcpFrame({2000, 5000, 105, 0, TcpFields::ACK | TcpFields::FIN});
  auto rst = tcpFrame({2000, 5000, 101, 0, TcpFields::RST});
  kj::ArrayPtr<const kj::byte> connection[] = {syn, data, hole, data, fin, rst};
  seeds.add(sequence(connection));
  Ipv4Fields part{PEER, STACK, 17};
  part.fragment = 0x2000;
  auto first = ethernetFrame(ScriptedPeer::STACK_MAC, ScriptedPeer::PEER_MAC, 0x0800,
                             ipv4Packet(part, kj::heapArray<kj::byte>(64)));
  part.fragment = 8;
  auto last = ethernetFrame(ScriptedPeer::STACK_MAC, ScriptedPeer::PEER_MAC, 0x0800,
                            ipv4Packet(part, kj::heapArray<kj::byte>(20)));
  kj::ArrayPtr<const kj::byte> fragments[] = {last, first, first};
  seeds.add(sequence(fragments));
  return seeds;
}

}  // namespace nexus
