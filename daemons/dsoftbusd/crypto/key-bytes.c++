#include "daemons/dsoftbusd/crypto/key-bytes.h"

#include <kj/debug.h>
#include <kj/encoding.h>

#include <cstring>

namespace nexus {

KeyBytes keyBytes(kj::ArrayPtr<const kj::byte> bytes) {
  KJ_REQUIRE(bytes.size() == KEY_BYTES, "a key is 32 bytes", bytes.size());
  KeyBytes key;
  memcpy(key.data(), bytes.begin(), key.size());
  return key;
}

kj::Maybe<KeyBytes> tryParseKeyBytes(kj::StringPtr hex) {
  if (hex.size() != 2 * KEY_BYTES) return nullptr;
  auto decoded = kj::decodeHex(hex);
  if (decoded.hadErrors) return nullptr;
  return keyBytes(decoded);
}

kj::String toHex(const KeyBytes& key) {
  return kj::encodeHex(asBytes(key));
}

}  // namespace nexus
