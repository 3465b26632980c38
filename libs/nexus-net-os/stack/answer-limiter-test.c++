#include "libs/nexus-net-os/stack/answer-limiter.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/stack/wire-frame.h"

namespace nexus {
namespace {

constexpr IpAddress A = IpAddress::v4(10, 42, 0, 10), B = IpAddress::v4(10, 42, 0, 11);

Bytes frame(kj::byte protocol, kj::ArrayPtr<const kj::byte> payload) {
  return ethernetFrame({}, {}, 0x0800, ipv4Packet({A, B, protocol}, payload));
}

struct LimiterFixture {
  StackCounters counters;
  AnswerLimiter limiter{{2, 3, 4, 5}, counters};

  // How many of 10 equal frames may leave at once.
  int allowed(kj::ArrayPtr<const kj::byte> frame, bool connection = false) {
    int n = 0;
    for (int i = 0; i < 10; ++i) n += limiter.allowAnswer(frame, connection, 0);
    return n;
  }
};

TEST_CASE("each kind of answer has a limit of its own") {
  LimiterFixture f;
  CHECK(f.allowed(frame(6, tcpSegment(A, B, {1, 2, 0, 0, TcpFields::RST}, nullptr))) == 3);
  CHECK(f.allowed(frame(1, icmpEcho(3, 0, 0, kj::heapArray<kj::byte>(28)))) == 4);
  CHECK(f.allowed(frame(1, icmpEcho(0, 0, 0, nullptr))) == 5);
  CHECK(f.counters.limitedResets == 7);
  CHECK(f.counters.limitedIcmpErrors == 6);
  CHECK(f.counters.limitedEchoReplies == 5);
  int challenges = 0;
  for (int i = 0; i < 10; ++i) challenges += f.limiter.allowChallengeAck(0);
  CHECK(challenges == 2);
  CHECK(f.counters.limitedChallengeAcks == 8);
}

TEST_CASE("what belongs to a connection or is no answer of these kinds is not limited") {
  LimiterFixture f;
  CHECK(f.allowed(frame(6, tcpSegment(A, B, {1, 2, 0, 0, TcpFields::RST}, nullptr)), true) == 10);
  CHECK(f.allowed(frame(6, tcpSegment(A, B, {1, 2, 0, 0, TcpFields::ACK}, nullptr))) == 10);
  CHECK(f.allowed(frame(17, udpDatagram(A, B, 1, 2, bytesOf("x")))) == 10);
  CHECK(f.allowed(frame(1, icmpEcho(8, 0, 0, nullptr))) == 10);
  CHECK(f.allowed(ethernetFrame({}, {}, 0x0806, arpPacket(2, {}, A, {}, B))) == 10);
  CHECK(f.allowed(kj::heapArray<kj::byte>(10)) == 10);
}

TEST_CASE("IPv6 answers are told apart too") {
  LimiterFixture f;
  auto icmp6 = [](kj::byte type) {
    auto bytes = kj::heapArray<kj::byte>(14 + 48);
    memset(bytes.begin(), 0, bytes.size());
    bytes[12] = 0x86, bytes[13] = 0xdd, bytes[14] = 0x60, bytes[20] = 58, bytes[54] = type;
    return bytes;
  };
  CHECK(f.allowed(icmp6(1)) == 4);
  CHECK(f.allowed(icmp6(129)) == 5);
  CHECK(f.allowed(icmp6(135)) == 10);
}

}  // namespace
}  // namespace nexus
