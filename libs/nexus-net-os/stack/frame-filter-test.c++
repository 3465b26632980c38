#include "libs/nexus-net-os/stack/frame-filter.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/stack/frame-samples.h"
#include "libs/nexus-net-os/stack/wire-bytes.h"

namespace nexus {
namespace {

TEST_CASE("every sample gets its verdict") {
  auto view = sampleView();
  size_t byVerdict[64] = {};
  for (auto& sample : frameSamples()) {
    CAPTURE(sample.name.cStr());
    auto frame = kj::heapArray<kj::byte>(sample.frame.asPtr());
    auto verdict = FrameFilter::check(frame, frame.size(), view);
    CHECK(kj::str(verdict) == kj::str(sample.verdict));
    ++byVerdict[static_cast<size_t>(sample.verdict)];
  }
  // No reason without a sample.
  size_t reasons = 1;
#define NEXUS_VERDICT(name) \
  ++reasons;                \
  CHECK_MESSAGE(byVerdict[static_cast<size_t>(FilterVerdict::name)] > 0, #name);
  NEXUS_FILTER_VERDICTS(NEXUS_VERDICT)
#undef NEXUS_VERDICT
  CHECK(reasons < 64);
}

TEST_CASE("a frame cut off anywhere is refused or passes whole, and nothing is read beyond it") {
  auto view = sampleView();
  for (auto& sample : frameSamples()) {
    for (size_t length = 0; length < sample.frame.size(); ++length) {
      auto exact = kj::heapArray<kj::byte>(sample.frame.slice(0, length));  // over-reads are seen by AddressSanitizer
      FrameFilter::check(exact, length, view);
      FrameFilter::tcpHeaderLength(exact);
    }
  }
}

TEST_CASE("a UDP datagram shorter than its packet is cut to its own length, with a right checksum") {
  auto datagram = udpDatagram(IpAddress::v4(10, 42, 0, 11), IpAddress::v4(10, 42, 0, 10), 7, 5000, bytesOf("four"));
  auto longer = kj::heapArray<kj::byte>(datagram.size() + 9);
  memset(longer.begin(), 0xee, longer.size());
  memcpy(longer.begin(), datagram.begin(), datagram.size());
  auto frame = ethernetFrame(sampleView().mac, {{2, 0, 0, 0, 0, 1}}, 0x0800,
                             ipv4Packet({IpAddress::v4(10, 42, 0, 11), IpAddress::v4(10, 42, 0, 10), 17}, longer));
  CHECK(FrameFilter::check(frame, frame.size(), sampleView()) == FilterVerdict::Pass);
  auto parsed = parseFrame(kj::mv(frame));
  CHECK(parsed.checksumsRight);
  CHECK(textOf(parsed.payload) == "four");
}

TEST_CASE("the headers of a TCP segment are found, of anything else not") {
  auto frame = [](kj::ArrayPtr<const kj::byte> packet) {
    return ethernetFrame(sampleView().mac, {{2, 0, 0, 0, 0, 1}}, 0x0800, packet);
  };
  constexpr IpAddress A = IpAddress::v4(10, 42, 0, 11), B = IpAddress::v4(10, 42, 0, 10);
  auto options = fromHex("020405b4 01010101");
  auto data = kj::heapArray<kj::byte>(1000);
  auto segment = tcpSegment(A, B, {1, 2, 3, 4, TcpFields::ACK}, data, options);
  CHECK(FrameFilter::tcpHeaderLength(frame(ipv4Packet({A, B, 6}, segment))) == 14 + 20 + 28);
  CHECK(FrameFilter::tcpHeaderLength(frame(ipv4Packet({A, B, 17}, segment))) == 0);
  Ipv4Fields fragment{A, B, 6};
  fragment.fragment = 0x2000;
  CHECK(FrameFilter::tcpHeaderLength(frame(ipv4Packet(fragment, segment))) == 0);
  CHECK(FrameFilter::tcpHeaderLength(frame(ipv4Packet({A, B, 6}, segment)).slice(0, 60)) == 0);
}

TEST_CASE("without an address of its own the node takes what a DHCP server sends it") {
  auto view = sampleView();
  view.ipv4 = 0;
  view.prefixLength = 0;
  constexpr IpAddress SERVER = IpAddress::v4(10, 0, 2, 2), OFFERED = IpAddress::v4(10, 0, 2, 15);
  auto frame = ethernetFrame(view.mac, {{2, 0, 0, 0, 0, 1}}, 0x0800,
                             ipv4Packet({SERVER, OFFERED, 17}, udpDatagram(SERVER, OFFERED, 67, 68, bytesOf("offer"))));
  CHECK(FrameFilter::check(frame, frame.size(), view) == FilterVerdict::Pass);
}

}  // namespace
}  // namespace nexus
