#include "tools/vmtest/capture.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <random>

#include "tools/vmtest/pcap-reader.h"
#include "tools/vmtest/pcapng-writer.h"
#include "tools/vmtest/testing-frames.h"

namespace nexus::vmtest {
namespace {

uint32_t addr(kj::byte last) {
  return 0x0a2a0000u | last;
}

TEST_CASE("the headers of a frame are read: addresses, ports, flags, payload") {
  auto syn = decodePacket(tcpFrame(0, addr(10), 49152, addr(11), 34568, Packet::SYN));
  CHECK(syn.isSyn());
  CHECK(!syn.isSynAck());
  CHECK(syn.source == IpAddress::v4(addr(10)));
  CHECK(syn.destinationPort == 34568);
  CHECK(describe(syn) == "10.42.0.10:49152 > 10.42.0.11:34568 TCP SYN, 0 bytes");
  CHECK(decodePacket(tcpFrame(1, addr(11), 34568, addr(10), 49152, Packet::SYN | Packet::ACK)).isSynAck());
  CHECK(decodePacket(tcpFrame(1, addr(11), 34568, addr(10), 49152, Packet::RST)).isRst());
  auto announce = decodePacket(udpFrame(0, addr(10), 37020, 0xef2a0001u, 37020, 90));
  CHECK(announce.kind == Packet::Kind::UDP);
  CHECK(announce.payload == 90);
  auto arp = decodePacket(arpFrame(0, addr(10), addr(11)));
  CHECK(arp.kind == Packet::Kind::ARP);
  CHECK(arp.destination == IpAddress::v4(addr(11)));
}

TEST_CASE("a session over IPv6 is seen as one over IPv4 is, and the talk of neighbours is counted as ICMP") {
  auto frame = [](kj::byte protocol, kj::Array<kj::byte> body) {
    FrameBytes bytes;
    bytes.ethernet(0, 0x86dd).u32(0x60000000).u16(kj::uint(body.size())).u8(protocol).u8(64);
    for (kj::byte last : {10, 11}) bytes.u16(0xfe80).zeros(13).u8(last);
    for (auto byte : body) bytes.u8(byte);
    return bytes.done();
  };
  auto tcp = FrameBytes().u16(49152).u16(34568).u32(1).u32(2).u8(0x50).u8(Packet::SYN).u16(8192).u32(0).done();
  auto syn = frame(6, kj::mv(tcp));
  CHECK(describe(decodePacket(syn)) == "[fe80::a]:49152 > [fe80::b]:34568 TCP SYN, 0 bytes");
  for (size_t n = 0; n < syn.size(); n++) CHECK(!decodePacket(kj::heapArray(syn.slice(0, n))).isSyn());
  auto udp = decodePacket(frame(17, FrameBytes().u16(37020).u16(37020).u16(98).u16(0).zeros(90).done()));
  CHECK(udp.kind == Packet::Kind::UDP);
  CHECK(udp.destinationPort == 37020);
  CHECK(udp.payload == 90);
  CHECK(decodePacket(frame(58, FrameBytes().zeros(8).done())).kind == Packet::Kind::ICMP);
  CHECK(decodePacket(frame(0, FrameBytes().u8(58).zeros(7).zeros(20).done())).kind == Packet::Kind::ICMP);
  CHECK(decodePacket(frame(44, FrameBytes().zeros(20).done())).kind == Packet::Kind::OTHER);
  Capture capture(macBytes(NODE_MACS[0]));
  capture.add(1, 1, syn, 74);
  capture.add(2, 2, tcpFrame(0, addr(10), 49152, addr(11), 34568, Packet::SYN), 54);
  capture.add(3, 3, frame(17, FrameBytes().u16(37020).u16(37020).u16(98).u16(0).zeros(90).done()), 144);
  CHECK(capture.counters().tcpSession == 2);
  CHECK(capture.counters().tcpSessionIpv6 == 1);
  CHECK(capture.counters().udpDiscovery == 1);
  CHECK(capture.counters().udpDiscoveryIpv6 == 1);
}

TEST_CASE("a frame cut anywhere, or of random bytes, is decoded as far as it goes and no further") {
  auto frame = tcpFrame(0, addr(10), 49152, addr(11), 34568, Packet::SYN);
  for (size_t n = 0; n < frame.size(); n++) CHECK(!decodePacket(kj::heapArray(frame.slice(0, n))).isSyn());
  std::mt19937 random(20261120);
  for (int i = 0; i < 20000; i++) {
    auto bytes = kj::heapArray(frame.asPtr());
    for (int n = 0; n < 4; n++) bytes[random() % bytes.size()] = kj::byte(random());
    auto cut = kj::heapArray(bytes.slice(0, random() % (bytes.size() + 1)));
    CHECK(describe(decodePacket(cut)).size() > 0);
  }
}

TEST_CASE("the counters are those of the contract") {
  Capture capture(macBytes("52:54:00:12:34:0a"));
  uint64_t stamp = 0;
  auto add = [&](kj::Array<kj::byte> frame) {
    stamp++;
    capture.add(stamp, stamp, frame, uint32_t(frame.size()));
  };
  add(arpFrame(0, addr(10), addr(11)));
  add(udpFrame(0, addr(10), 37020, 0xef2a0001u, 37020, 90));
  add(udpFrame(0, addr(10), 68, addr(255), 67, 300));
  add(tcpFrame(0, addr(10), 49152, addr(11), 34568, Packet::SYN));
  add(tcpFrame(1, addr(11), 34568, addr(10), 49152, Packet::SYN | Packet::ACK));
  add(tcpFrame(1, addr(11), 34568, addr(10), 49152, Packet::RST | Packet::ACK));
  add(tcpFrame(0, addr(10), 49153, addr(11), 80, Packet::SYN));
  auto& c = capture.counters();
  CHECK(c.frames == 7);
  CHECK(c.arp == 1);
  CHECK(c.udp == 2);
  CHECK(c.udpDiscovery == 1);
  CHECK(c.tcp == 4);
  CHECK(c.tcpSession == 3);
  CHECK(c.syn == 1);
  CHECK(c.synAck == 1);
  CHECK(c.rst == 1);
  CHECK(capture.frames()[3].sent);
  CHECK(!capture.frames()[4].sent);
}

TEST_CASE("stamps are translated by the smallest distance between the clocks") {
  Capture capture(macBytes("52:54:00:12:34:0a"));
  auto frame = arpFrame(0, addr(10), addr(11));
  capture.add(1000, 5001900, frame, 42);  // read late
  capture.add(2000, 5002000, frame, 42);  // read at once
  capture.add(3000, 5003500, frame, 42);
  CHECK(capture.hostStamp(capture.frames()[0]) == 5001000);
  CHECK(capture.hostStamp(capture.frames()[1]) == 5002000);
  CHECK(capture.hostStamp(capture.frames()[2]) == 5003000);
}

TEST_CASE("frames beyond the limit are counted and not kept") {
  auto frame = arpFrame(0, addr(10), addr(11));
  Capture capture(macBytes("52:54:00:12:34:0a"), frame.size() * 2);
  for (int i = 0; i < 3; i++) capture.add(1, 1, frame, uint32_t(frame.size()));
  CHECK(capture.frames().size() == 2);
  CHECK(capture.dropped() == 1);
  CHECK(capture.counters().arp == 3);
}

// pcap ----------------------------------------

kj::Array<kj::byte> pcapOf(kj::ArrayPtr<const kj::byte> frame, bool swapped, bool nanos) {
  kj::Vector<kj::byte> out;
  auto u32 = [&](uint32_t v) {
    if (swapped) v = __builtin_bswap32(v);
    out.addAll(kj::arrayPtr(reinterpret_cast<kj::byte*>(&v), 4));
  };
  auto length = uint32_t(frame.size());
  for (uint32_t v : {nanos ? 0xa1b23c4du : 0xa1b2c3d4u, 0x00040002u, 0u, 0u, 65536u, 1u}) u32(v);
  for (uint32_t v : {7u, 5u, length, length}) u32(v);
  out.addAll(frame);
  return out.releaseAsArray();
}

TEST_CASE("a pcap stream is read in both byte orders and resolutions, whole or byte by byte") {
  auto frame = tcpFrame(0, addr(10), 49152, addr(11), 34568, Packet::SYN);
  for (bool swapped : {false, true}) {
    for (bool nanos : {false, true}) {
      auto stream = pcapOf(frame, swapped, nanos);
      for (size_t step : {size_t(1), stream.size()}) {
        PcapReader reader;
        kj::uint count = 0;
        for (size_t i = 0; i < stream.size(); i += step) {
          CHECK(reader.feed(stream.slice(i, i + step),
                            [&](uint64_t stamp, kj::ArrayPtr<const kj::byte> got, uint32_t original) {
                              count++;
                              CHECK(stamp == 7000000000ull + (nanos ? 5 : 5000));
                              CHECK(got == frame.asPtr());
                              CHECK(original == frame.size());
                            }));
        }
        CHECK(count == 1);
      }
    }
  }
}

TEST_CASE(
    "a stream that is no Ethernet pcap, or has an impossible length, is refused with its reason and stays refused") {
  auto none = [](uint64_t, kj::ArrayPtr<const kj::byte>, uint32_t) { FAIL("no frame was expected"); };
  auto good = pcapOf(arpFrame(0, addr(10), addr(11)), false, false);
  auto with = [&](size_t at, uint32_t value) {
    auto bytes = kj::heapArray(good.asPtr());
    memcpy(bytes.begin() + at, &value, 4);
    return bytes;
  };
  PcapReader magic, link, captured, larger;
  CHECK(!magic.feed(with(0, 0x12345678), none));
  CHECK(KJ_ASSERT_NONNULL(magic.error()) == "not a pcap stream");
  CHECK(!link.feed(with(20, 113), none));
  CHECK(!captured.feed(with(32, 0xffffffff), none));
  CHECK(!larger.feed(with(36, 1), none));
  CHECK(!magic.feed(good, none));
}

TEST_CASE("a pcapng file has the blocks, options and lengths that the draft asks for") {
  PcapngWriter writer("nexus-net");
  writer.addInterface("node-a", "10.42.0.10");
  auto frame = arpFrame(0, addr(10), addr(11));
  writer.addPacket(0, 0x1122334455667788ull, frame, 60, "net: virtio-net up");
  auto bytes = writer.bytes();
  auto u32 = [&](size_t at) {
    uint32_t v;
    memcpy(&v, bytes.begin() + at, 4);
    return v;
  };
  uint32_t types[] = {0x0a0d0d0a, 1, 6};
  size_t at = 0;
  for (uint32_t type : types) {
    CHECK(u32(at) == type);
    uint32_t length = u32(at + 4);
    CHECK(length % 4 == 0);
    CHECK(u32(at + length - 4) == length);
    if (type == 6) {
      CHECK(u32(at + 12) == 0x11223344);
      CHECK(u32(at + 16) == 0x55667788);
      CHECK(u32(at + 20) == frame.size());
      CHECK(u32(at + 24) == 60);
      CHECK(bytes.slice(at + 28, at + 28 + frame.size()) == frame.asPtr());
    }
    at += length;
  }
  CHECK(at == bytes.size());
}

}  // namespace
}  // namespace nexus::vmtest
