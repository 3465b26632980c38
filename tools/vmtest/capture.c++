#include "tools/vmtest/capture.h"

#include <kj/debug.h>
#include <kj/encoding.h>

#include <cstring>

namespace nexus::vmtest {

Capture::Capture(kj::ArrayPtr<const kj::byte> mac, uint64_t keptBytesMax) : keptBytesMax(keptBytesMax) {
  KJ_REQUIRE(mac.size() == 6, "not a MAC address");
  memcpy(this->mac, mac.begin(), 6);
}

void Capture::add(uint64_t stamp, uint64_t hostNow, kj::ArrayPtr<const kj::byte> frame, uint32_t original) {
  int64_t distance = int64_t(hostNow - stamp);
  if (totals.frames == 0 || distance < clockDistance) clockDistance = distance;
  Packet packet = decodePacket(frame);
  totals.frames++;
  totals.bytes += original;
  totals.arp += packet.kind == Packet::Kind::ARP;
  totals.icmp += packet.kind == Packet::Kind::ICMP;
  totals.udp += packet.kind == Packet::Kind::UDP;
  totals.tcp += packet.kind == Packet::Kind::TCP;
  totals.other += packet.kind == Packet::Kind::OTHER;
  bool ipv6 = !packet.source.isV4();
  if (packet.kind == Packet::Kind::UDP && packet.usesPort(DISCOVERY_PORT)) {
    totals.udpDiscovery++;
    totals.udpDiscoveryIpv6 += ipv6;
  }
  if (packet.kind == Packet::Kind::TCP && (packet.usesPort(SESSION_PORTS[0]) || packet.usesPort(SESSION_PORTS[1]))) {
    totals.tcpSession++;
    totals.tcpSessionIpv6 += ipv6;
    totals.syn += packet.isSyn();
    totals.synAck += packet.isSynAck();
    totals.rst += packet.isRst();
  }
  if (keptBytes + frame.size() > keptBytesMax) {
    droppedFrames++;
    return;
  }
  keptBytes += frame.size();
  kept.add(CapturedFrame{stamp, original, memcmp(packet.sourceMac, mac, 6) == 0, kj::heapArray(frame)});
}

kj::Array<kj::byte> macBytes(kj::StringPtr text) {
  kj::Vector<char> digits;
  for (char c : text) {
    if (c != ':') digits.add(c);
  }
  auto decoded = kj::decodeHex(digits);
  KJ_REQUIRE(!decoded.hadErrors && decoded.size() == 6, "not a MAC address", text);
  return kj::heapArray(decoded.asPtr());
}

}  // namespace nexus::vmtest
