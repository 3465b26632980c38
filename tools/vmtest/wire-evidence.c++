#include "tools/vmtest/wire-evidence.h"

#include "tools/vmtest/ladder.h"

namespace nexus::vmtest {

namespace {

bool isSession(const Packet& packet) {
  return packet.kind == Packet::Kind::TCP && (packet.usesPort(SESSION_PORTS[0]) || packet.usesPort(SESSION_PORTS[1]));
}

bool contains(kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr word) {
  for (size_t i = 0; i + word.size() <= bytes.size(); i++) {
    if (bytes.slice(i, i + word.size()) == word.asBytes()) return true;
  }
  return false;
}

}  // namespace

kj::Maybe<kj::String> wireContradiction(kj::ArrayPtr<const Capture* const> captures) {
  for (size_t node = 0; node < captures.size(); node++) {
    bool sent = false, received = false;
    uint64_t payload = 0;
    for (auto& frame : captures[node]->frames()) {
      auto packet = decodePacket(frame.bytes);
      if (packet.kind == Packet::Kind::UDP && packet.destinationPort == DISCOVERY_PORT)
        (frame.sent ? sent : received) = true;
      if (!isSession(packet)) continue;
      payload += packet.payload;
      for (auto word : ASKED_FOR) {
        if (contains(frame.bytes, word))
          return kj::str("\"", word, "\" is readable on the session: ", describe(packet));
      }
    }
    auto name = NODE_NAMES[node];
    if (!sent || !received) return kj::str("node ", name, sent ? " received" : " sent", " no announcement on the link");
    auto& counters = captures[node]->counters();
    if (counters.syn == 0 || counters.synAck == 0) return kj::str("no TCP handshake on a session port at node ", name);
    if (payload == 0) return kj::str("not one byte crossed the session at node ", name);
  }
  return nullptr;
}

}  // namespace nexus::vmtest
