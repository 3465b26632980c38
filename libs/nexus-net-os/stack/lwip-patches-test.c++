// Our patches to lwIP, each by a test that fails without it. Packets are given to lwIP directly, past the frame filter,
// which would refuse most of them. Received memory lies in heap buffers of exactly the packet's size, so that
// over-reads are also seen by
// --config=asan; where an over-read has no other effect the test says so.
#include <doctest/doctest.h>

#include "libs/nexus-net-os/stack/lwip-stack.h"
#include "libs/nexus-net-os/stack/stack-fixture.h"
#include "libs/nexus-net-os/stack/tcp-listener.h"
#include "libs/nexus-net-os/stack/udp-conn.h"
#include "libs/nexus-net-os/stack/wire-bytes.h"
#include "lwip/ip6_frag.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/stats.h"

namespace nexus {
namespace {

constexpr IpAddress PEER = ScriptedPeer::PEER, STACK = ScriptedPeer::STACK;
constexpr MacAddress PEER_MAC = ScriptedPeer::PEER_MAC, STACK_MAC = ScriptedPeer::STACK_MAC;

struct RawFixture : StackFixture {
  struct Custom {
    pbuf_custom custom;
    Bytes memory;
  };

  using StackFixture::StackFixture;

  // A pbuf over the first `visible` bytes of a heap buffer of exactly the size of `bytes`.
  static pbuf* wrap(Bytes bytes, size_t visible) {
    auto* self = new Custom{{}, kj::mv(bytes)};
    self->custom.custom_free_function = [](pbuf* p) { delete reinterpret_cast<Custom*>(p); };
    return pbuf_alloced_custom(PBUF_RAW, visible, PBUF_REF, &self->custom, self->memory.begin(), self->memory.size());
  }

  void input(pbuf* p) {
    LwipStack::Call call(stack);
    auto& link = stack.link();
    if (link.input(p, &link) != ERR_OK) pbuf_free(p);
  }
  void input(Bytes bytes) {
    size_t size = bytes.size();
    input(wrap(kj::mv(bytes), size));
  }

  // Link-local addresses of both ends.
  Bytes address6(const MacAddress& mac) {
    auto a = fromHex("fe80000000000000 000000fffe000000");
    memcpy(a.begin() + 8, mac.bytes.data(), 3);
    a[8] ^= 2;
    memcpy(a.begin() + 13, mac.bytes.data() + 3, 3);
    return a;
  }

  // An Ethernet frame with an ICMPv6 message from the peer, checksum filled in.
  Bytes icmp6(kj::ArrayPtr<const kj::byte> message) {
    auto frame = kj::heapArray<kj::byte>(14 + 40 + message.size());
    memset(frame.begin(), 0, frame.size());
    memcpy(frame.begin(), STACK_MAC.bytes.data(), 6);
    memcpy(frame.begin() + 6, PEER_MAC.bytes.data(), 6);
    putBe16(frame, 12, 0x86dd);
    auto ip = frame.slice(14, frame.size());
    ip[0] = 0x60;
    putBe16(ip, 4, message.size());
    ip[6] = 58;
    ip[7] = 255;
    auto source = address6(PEER_MAC), destination = address6(STACK_MAC);
    memcpy(ip.begin() + 8, source.begin(), 16);
    memcpy(ip.begin() + 24, destination.begin(), 16);
    memcpy(ip.begin() + 40, message.begin(), message.size());
    uint32_t sum = 58 + message.size();
    for (size_t i = 8; i < 40; i += 2) sum += be16(ip, i);
    putBe16(ip, 42, internetChecksum(ip.slice(40, ip.size()), sum));
    return frame;
  }

  Bytes neighbourMessage(kj::byte type, kj::byte flags, const MacAddress& target,
                         kj::ArrayPtr<const kj::byte> options) {
    auto message = kj::heapArray<kj::byte>(24 + options.size());
    memset(message.begin(), 0, message.size());
    message[0] = type;
    message[4] = flags;
    auto a = address6(target);
    memcpy(message.begin() + 8, a.begin(), 16);
    memcpy(message.begin() + 24, options.begin(), options.size());
    return icmp6(message);
  }

  nd6_neighbor_cache_entry* neighbour() {
    auto a = address6(PEER_MAC);
    for (auto& entry : kj::arrayPtr(neighbor_cache, LWIP_ND6_NUM_NEIGHBORS)) {
      if (entry.state != ND6_NO_ENTRY && memcmp(entry.next_hop_address.addr, a.begin(), 16) == 0) return &entry;
    }
    return nullptr;
  }

  // Makes the peer known to the neighbour cache, as a solicitation does.
  void meet() {
    kj::byte option[8] = {1, 1};
    memcpy(option + 2, PEER_MAC.bytes.data(), 6);
    input(neighbourMessage(135, 0, STACK_MAC, option));
    KJ_ASSERT(neighbour() != nullptr);
  }
};

TEST_CASE("short-frames: an ARP packet that ends early is not completed from what lies behind it") {
  RawFixture f;
  auto request = ethernetFrame(ScriptedPeer::BROADCAST, PEER_MAC, 0x0806, arpPacket(1, PEER_MAC, PEER, {}, STACK));
  f.input(RawFixture::wrap(kj::heapArray(request.asPtr()), 14 + 20));
  CHECK(f.quiet([](auto& frame) { return frame.isArp(); }));
  f.input(kj::mv(request));
  CHECK(!f.quiet([](auto& frame) { return frame.isArp(); }));
}

TEST_CASE("short-frames: an IPv6 packet that ends inside its header is counted as too short, not looked into") {
  RawFixture f;
  auto before = lwip_stats.ip6.lenerr;
  for (size_t length = 1; length < 40; ++length) {
    auto bytes = kj::heapArray<kj::byte>(length);
    memset(bytes.begin(), 0x40, length);  // version 4: whoever looks drops it for that
    f.input(ethernetFrame(STACK_MAC, PEER_MAC, 0x86dd, bytes));
  }
  CHECK(lwip_stats.ip6.lenerr - before == 39);
}

TEST_CASE("nd-option-bounds: an address option of length zero or cut off changes no neighbour") {
  RawFixture f{StackOptions()};
  f.sim.advance(5 * kj::SECONDS);  // duplicate address detection
  f.meet();
  for (kj::byte flags : {0x20 /* override */, 0x60 /* and solicited */}) {
    for (auto hex : {"0200", "0201", "02000000"}) {
      auto option = fromHex(hex);
      auto frame = f.neighbourMessage(136, flags, PEER_MAC, option);
      // What lies behind the packet would be taken for the address.
      auto memory = kj::heapArray<kj::byte>(frame.size() + 16);
      memset(memory.begin(), 0xee, memory.size());
      memcpy(memory.begin(), frame.begin(), frame.size());
      f.input(RawFixture::wrap(kj::mv(memory), frame.size()));
      CHECK(memcmp(f.neighbour()->lladdr, PEER_MAC.bytes.data(), 6) == 0);
    }
  }
  // A whole one does.
  f.input(f.neighbourMessage(136, 0x60, PEER_MAC, fromHex("0201 020000000001")));
  CHECK(f.neighbour()->lladdr[0] == 2);
}

TEST_CASE("nd-option-bounds: a solicitation whose option has length zero is not answered") {
  RawFixture f{StackOptions()};
  f.sim.advance(5 * kj::SECONDS);
  f.sim.settle();
  f.peer.sent.clear();
  f.input(f.neighbourMessage(135, 0, STACK_MAC, fromHex("0100")));
  CHECK(f.quiet([](auto& frame) { return frame.type == 0x86dd; }));
  CHECK(f.neighbour() == nullptr);
}

TEST_CASE("packet-too-big: a path MTU below 1280 is not believed") {
  RawFixture f{StackOptions()};
  f.sim.advance(5 * kj::SECONDS);
  f.meet();
  auto bound = UdpConn::bind(f.stack, {{}, 5000});
  SocketAddress far{IpAddress::fromBytes(f.address6(PEER_MAC)), 7};
  CHECK(bound.conn->sendTo(far, bytesOf("fills the destination cache")) == idl::Outcome::OK);
  auto pathMtu = [&]() -> uint32_t {
    auto a = f.address6(PEER_MAC);
    for (auto& entry : kj::arrayPtr(destination_cache, LWIP_ND6_NUM_DESTINATIONS)) {
      if (memcmp(entry.destination_addr.addr, a.begin(), 16) == 0) return entry.pmtu;
    }
    return 0;
  };
  REQUIRE(pathMtu() == 1500);
  auto tooBig = [&](uint32_t mtu) {
    auto message = kj::heapArray<kj::byte>(8 + 40 + 8);
    memset(message.begin(), 0, message.size());
    message[0] = 2;
    putBe32(message, 4, mtu);
    message[8] = 0x60;
    auto source = f.address6(STACK_MAC), destination = f.address6(PEER_MAC);
    memcpy(message.begin() + 16, source.begin(), 16);
    memcpy(message.begin() + 32, destination.begin(), 16);
    f.input(f.icmp6(message));
  };
  for (uint32_t mtu : {0, 1, 48, 1279}) {
    tooBig(mtu);
    CHECK(pathMtu() == 1500);
  }
  tooBig(1280);
  CHECK(pathMtu() == 1280);
}

TEST_CASE("reassembly-null: a fragment refused for want of buffers leaves nothing behind for the timer") {
  RawFixture f{StackOptions()};
  f.sim.advance(5 * kj::SECONDS);
  // One fragment in more pieces than reassembly may hold at all.
  auto message = kj::heapArray<kj::byte>(8 + 8 * (IP_REASS_MAX_PBUFS + 2));
  memset(message.begin(), 0, message.size());
  message[0] = 17;  // next header
  message[3] = 1;   // first fragment, more to come
  putBe32(message, 4, 0x12345678);
  auto frame = f.icmp6(message);
  frame[14 + 6] = 44;  // fragment header
  pbuf* chain = RawFixture::wrap(kj::heapArray<kj::byte>(frame.slice(0, 14 + 40 + 8)), 14 + 40 + 8);
  for (size_t at = 14 + 40 + 8; at < frame.size(); at += 8) {
    pbuf_cat(chain, RawFixture::wrap(kj::heapArray<kj::byte>(frame.slice(at, at + 8)), 8));
  }
  auto refused = lwip_stats.ip6_frag.memerr;
  f.input(chain);
  CHECK(lwip_stats.ip6_frag.memerr == refused + 1);
  f.sim.advance(70 * kj::SECONDS);  // without the patch the timer follows NULL here
  CHECK(lwip_stats.memp[MEMP_IP6_REASSDATA]->used == 0);
}

TEST_CASE(
    "tcp-option-bounds: an option whose length byte is missing ends the options (an over-read: seen by "
    "--config=asan)") {
  RawFixture f;
  auto listening = TcpListener::listen(f.stack, {{}, 80});
  TcpFields syn{2000, 80, 1, 0, TcpFields::SYN};
  for (auto hex : {"01010102", "01010103", "010101ff", "02040100 010101fe"}) {
    auto options = fromHex(hex);
    f.input(ethernetFrame(STACK_MAC, PEER_MAC, 0x0800,
                          ipv4Packet({PEER, STACK, 6}, tcpSegment(PEER, STACK, syn, nullptr, options))));
    ++syn.sourcePort;
  }
  CHECK(listening.listener->halfOpen() == 4);
}

TEST_CASE("random-ip-id: identifications do not count") {
  RawFixture f;
  auto bound = UdpConn::bind(f.stack, {{}, 5000});
  bound.conn->sendTo({PEER, 7}, bytesOf("x"));
  f.expect([](auto& frame) { return frame.isUdp(); });
  int close = 0;
  uint16_t last = 0;
  for (int i = 0; i < 20; ++i) {
    bound.conn->sendTo({PEER, 7}, bytesOf("x"));
    auto frame = f.expect([](auto& frame) { return frame.isUdp(); });
    if (static_cast<uint16_t>(frame.identification - last) < 256) ++close;
    last = frame.identification;
  }
  CHECK(close <= 2);
}

}  // namespace
}  // namespace nexus
