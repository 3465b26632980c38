#include "selftest/dma-probe/arp-packet.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

namespace nexus {
namespace {

constexpr kj::byte REQUEST[] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x12, 0x34, 0x0a, 0x08, 0x06,  // Ethernet
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,                                      // who has
    0x52, 0x54, 0x00, 0x12, 0x34, 0x0a, 0x0a, 0x00, 0x02, 0x0f,                          // sender
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x02, 0x02,                          // target
};

TEST_CASE("a request has these bytes and reads back") {
  ArpPacket packet{.operation = ArpPacket::REQUEST,
                   .senderMac = {{0x52, 0x54, 0x00, 0x12, 0x34, 0x0a}},
                   .senderIp = {10, 0, 2, 15},
                   .targetMac = {},
                   .targetIp = {10, 0, 2, 2}};
  auto frame = packet.encode();
  CHECK(frame.asPtr() == kj::arrayPtr(REQUEST, sizeof(REQUEST)));
  CHECK(KJ_ASSERT_NONNULL(ArpPacket::tryParse(frame)) == packet);
}

TEST_CASE("a reply goes to its target") {
  ArpPacket packet{.operation = ArpPacket::REPLY,
                   .senderMac = {{2, 0, 0, 0, 0, 1}},
                   .senderIp = {10, 0, 2, 2},
                   .targetMac = {{2, 0, 0, 0, 0, 9}},
                   .targetIp = {10, 0, 2, 15}};
  auto frame = packet.encode();
  CHECK(frame[5] == 9);
  CHECK(KJ_ASSERT_NONNULL(ArpPacket::tryParse(frame)) == packet);
}

TEST_CASE("padding is ignored; anything cut off or of another kind is no ARP packet") {
  kj::Vector<kj::byte> padded;
  padded.addAll(kj::arrayPtr(REQUEST, sizeof(REQUEST)));
  padded.resize(64);
  CHECK(ArpPacket::tryParse(padded) != nullptr);
  for (size_t size = 0; size < ArpPacket::SIZE; size++)
    CHECK(ArpPacket::tryParse(kj::arrayPtr(REQUEST, size)) == nullptr);
  for (size_t at = 12; at < 20; at++) {
    auto frame = kj::heapArray(kj::arrayPtr(REQUEST, sizeof(REQUEST)));
    frame[at] ^= 1;
    CHECK(ArpPacket::tryParse(frame) == nullptr);
  }
}

}  // namespace
}  // namespace nexus
