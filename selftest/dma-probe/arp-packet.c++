#include "selftest/dma-probe/arp-packet.h"

#include <algorithm>
#include <cstring>

namespace nexus {

namespace {

// EtherType ARP; hardware Ethernet, protocol IPv4, address lengths 6 and 4.
constexpr kj::byte FIXED[] = {0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 6, 4};
constexpr size_t FIXED_AT = 12, OPERATION_AT = 20, SENDER_AT = 22, TARGET_AT = 32;

}  // namespace

kj::Array<kj::byte> ArpPacket::encode() const {
  auto frame = kj::heapArray<kj::byte>(SIZE);
  auto put = [&frame](size_t at, auto& bytes) { std::copy(bytes.begin(), bytes.end(), frame.begin() + at); };
  if (operation == REPLY) {
    put(0, targetMac.bytes);
  } else {
    memset(frame.begin(), 0xff, targetMac.bytes.size());
  }
  put(6, senderMac.bytes);
  memcpy(frame.begin() + FIXED_AT, FIXED, sizeof(FIXED));
  frame[OPERATION_AT] = operation >> 8;
  frame[OPERATION_AT + 1] = operation & 0xff;
  put(SENDER_AT, senderMac.bytes);
  put(SENDER_AT + 6, senderIp);
  put(TARGET_AT, targetMac.bytes);
  put(TARGET_AT + 6, targetIp);
  return frame;
}

kj::Maybe<ArpPacket> ArpPacket::tryParse(kj::ArrayPtr<const kj::byte> frame) {
  if (frame.size() < SIZE || memcmp(frame.begin() + FIXED_AT, FIXED, sizeof(FIXED)) != 0) return nullptr;
  auto get = [&frame](size_t at, auto& bytes) { std::copy_n(frame.begin() + at, bytes.size(), bytes.begin()); };
  ArpPacket packet;
  packet.operation = frame[OPERATION_AT] << 8 | frame[OPERATION_AT + 1];
  get(SENDER_AT, packet.senderMac.bytes);
  get(SENDER_AT + 6, packet.senderIp);
  get(TARGET_AT, packet.targetMac.bytes);
  get(TARGET_AT + 6, packet.targetIp);
  return packet;
}

}  // namespace nexus
