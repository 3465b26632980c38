#include "tools/vmtest/wire-evidence.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "tools/vmtest/testing-frames.h"

namespace nexus::vmtest {
namespace {

constexpr uint32_t IP_A = 0x0a2a000a, IP_B = 0x0a2a000b, GROUP = 0xef2a0001;

enum Part { ANNOUNCE_A, ANNOUNCE_B, SYN, SYN_ACK, DATA, NONE };

// A run as it should be on the wire, without one part of it, or with a word in the clear.
kj::String verdict(Part without, kj::StringPtr clear = nullptr, bool onSession = true) {
  Capture a(macBytes(NODE_MACS[0])), b(macBytes(NODE_MACS[1]));
  auto frame = [&](Part part, kj::Array<kj::byte> bytes) {
    if (part == without) return;
    for (auto* capture : {&a, &b}) capture->add(1, 1, bytes, uint32_t(bytes.size()));
  };
  frame(ANNOUNCE_A, udpFrame(0, IP_A, 37020, GROUP, 37020, 80));
  frame(ANNOUNCE_B, udpFrame(1, IP_B, 37020, GROUP, 37020, 80));
  frame(SYN, tcpFrame(0, IP_A, 49152, IP_B, 34568, Packet::SYN));
  frame(SYN_ACK, tcpFrame(1, IP_B, 34568, IP_A, 49152, Packet::SYN | Packet::ACK));
  auto data = tcpFrame(0, IP_A, 49152, IP_B, onSession ? 34568 : 80, Packet::ACK, 48);
  memcpy(data.end() - clear.size(), clear.begin(), clear.size());
  frame(DATA, kj::mv(data));
  const Capture* both[] = {&a, &b};
  auto problem = wireContradiction(both);
  KJ_IF_MAYBE (p, problem) return kj::mv(*p);
  return kj::str("agrees");
}

TEST_CASE("announcements, handshake and sealed bytes bear the markers out") {
  CHECK(verdict(NONE) == "agrees");
}

TEST_CASE("without any one of them the packets contradict the markers") {
  CHECK(verdict(ANNOUNCE_A) == "node A sent no announcement on the link");
  CHECK(verdict(ANNOUNCE_B) == "node A received no announcement on the link");
  CHECK(verdict(SYN) == "no TCP handshake on a session port at node A");
  CHECK(verdict(SYN_ACK) == "no TCP handshake on a session port at node A");
  CHECK(verdict(DATA) == "not one byte crossed the session at node A");
}

TEST_CASE("what was asked for must not be readable on the session, elsewhere it may") {
  for (auto word : ASKED_FOR) {
    CHECK(verdict(NONE, word) ==
          kj::str("\"", word, "\" is readable on the session: 10.42.0.10:49152 > 10.42.0.11:34568 TCP ACK, 48 bytes"));
  }
  CHECK(verdict(NONE, "bundlemgrd", false) == "not one byte crossed the session at node A");
}

}  // namespace
}  // namespace nexus::vmtest
