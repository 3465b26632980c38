#pragma once
// 32 public bytes: an X25519 or Ed25519 public key, a hash. A value, comparable and printable; a secret is a
// SecretBytes instead.
#include <kj/common.h>
#include <kj/string.h>

#include <array>

namespace nexus {

constexpr size_t KEY_BYTES = 32;
using KeyBytes = std::array<kj::byte, KEY_BYTES>;

inline kj::ArrayPtr<const kj::byte> asBytes(const KeyBytes& key) {
  return kj::arrayPtr(key.data(), key.size());
}
inline kj::ArrayPtr<kj::byte> asBytes(KeyBytes& key) {
  return kj::arrayPtr(key.data(), key.size());
}

// FAILED unless it is exactly 32 bytes.
KeyBytes keyBytes(kj::ArrayPtr<const kj::byte> bytes);

// 64 hexadecimal digits of either case; null for anything else.
kj::Maybe<KeyBytes> tryParseKeyBytes(kj::StringPtr hex);

// 64 lowercase hexadecimal digits.
kj::String toHex(const KeyBytes& key);

}  // namespace nexus
