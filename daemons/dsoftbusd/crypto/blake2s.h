#pragma once
// BLAKE2s-256 (RFC 7693), and HMAC and HKDF over it exactly as the Noise framework defines them (revision 34,
// section 4.3). Pure functions. The hash is OpenSSL's; this is the only place that knows.
#include <kj/array.h>

#include <initializer_list>

#include "daemons/dsoftbusd/crypto/key-bytes.h"
#include "daemons/dsoftbusd/crypto/secret-bytes.h"

namespace nexus {

constexpr size_t BLAKE2S_BYTES = 32;
constexpr size_t BLAKE2S_BLOCK_BYTES = 64;

using ByteParts = std::initializer_list<kj::ArrayPtr<const kj::byte>>;

// Hash of the concatenation of the parts.
KeyBytes blake2s(ByteParts parts);

// HMAC (RFC 2104) of the concatenation of the parts into `out` (32 bytes). The key is at most 64 bytes.
void hmacBlake2s(kj::ArrayPtr<const kj::byte> key, ByteParts parts, kj::ArrayPtr<kj::byte> out);

// HKDF with two outputs of 32 bytes.
struct HkdfPair {
  SecretBytes first;
  SecretBytes second;
};
HkdfPair hkdfBlake2s(const SecretBytes& chainingKey, kj::ArrayPtr<const kj::byte> input);

}  // namespace nexus
