#include "daemons/virtionetd/copying-link.h"

#include <kj/debug.h>

namespace nexus {

kj::Promise<OpenLink> CopyingLink::open() {
  auto pool = kj::heap<BufferPool>(BufferPool::create(geometry));
  auto device = kj::heap<CopyingDevice>(*channel, *pool, mac);
  return OpenLink{kj::mv(pool), kj::mv(device)};
}

MacAddress randomMac(Entropy& entropy) {
  MacAddress mac;
  entropy.fill(kj::arrayPtr(mac.bytes.data(), mac.bytes.size()));
  constexpr kj::byte GROUP = 1, LOCAL = 2;  // IEEE 802, 8.2: the two lowest bits of the first byte
  mac.bytes[0] = static_cast<kj::byte>((mac.bytes[0] & ~GROUP) | LOCAL);
  return mac;
}

kj::Maybe<MacAddress> configuredMac(kj::StringPtr text) {
  if (text.size() == 0) return nullptr;
  auto mac = KJ_REQUIRE_NONNULL(MacAddress::tryParse(text), "macAddress must look like 52:54:00:12:34:0a", text);
  KJ_REQUIRE(!mac.isGroup() && mac != MacAddress{}, "macAddress must be that of one station, not a group and not zero",
             text);
  return mac;
}

}  // namespace nexus
