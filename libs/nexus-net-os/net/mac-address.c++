#include "libs/nexus-net-os/net/mac-address.h"

#include <kj/debug.h>

#include <algorithm>

namespace nexus {

namespace {

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

kj::Maybe<MacAddress> MacAddress::tryParse(kj::StringPtr text) {
  MacAddress mac;
  if (text.size() != 17) return nullptr;
  for (size_t i = 0; i < 6; i++) {
    int high = hexDigit(text[i * 3]), low = hexDigit(text[i * 3 + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[i * 3 + 2] != ':')) return nullptr;
    mac.bytes[i] = static_cast<kj::byte>(high << 4 | low);
  }
  return mac;
}

MacAddress MacAddress::fromBytes(kj::ArrayPtr<const kj::byte> bytes) {
  MacAddress mac;
  KJ_REQUIRE(bytes.size() == mac.bytes.size(), "a MAC address has 6 bytes", bytes.size());
  std::copy(bytes.begin(), bytes.end(), mac.bytes.begin());
  return mac;
}

kj::String KJ_STRINGIFY(const MacAddress& mac) {
  static constexpr char DIGITS[] = "0123456789abcdef";
  auto text = kj::heapString(17);
  for (size_t i = 0; i < 6; i++) {
    text[i * 3] = DIGITS[mac.bytes[i] >> 4];
    text[i * 3 + 1] = DIGITS[mac.bytes[i] & 15];
    if (i < 5) text[i * 3 + 2] = ':';
  }
  return text;
}

}  // namespace nexus
