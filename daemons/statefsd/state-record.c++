#include "daemons/statefsd/state-record.h"

#include <kj/debug.h>
#include <kj/encoding.h>
#include <sodium.h>
#include <string.h>

#include "libs/oslite-frames/statefs-frames.h"

namespace nexus {

namespace {

constexpr kj::byte HEAD[] = {'N', 'X', 'S', 'R', 1};
constexpr size_t FIXED_BYTES = sizeof(HEAD) + 2 + 4;
constexpr size_t HASH_BYTES = crypto_hash_sha256_BYTES;

void putLe(kj::byte* at, size_t bytes, uint64_t value) {
  for (size_t i = 0; i < bytes; i++) at[i] = value >> 8 * i;
}

uint64_t getLe(const kj::byte* at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; i++) value |= uint64_t(at[i]) << 8 * i;
  return value;
}

}  // namespace

kj::String recordName(kj::ArrayPtr<const char> key) {
  kj::byte hash[HASH_BYTES];
  crypto_hash_sha256(hash, key.asBytes().begin(), key.size());
  return kj::encodeHex(hash);
}

bool isRecordName(kj::StringPtr name) {
  if (name.size() != 2 * HASH_BYTES) return false;
  for (char c : name) {
    if (!('0' <= c && c <= '9') && !('a' <= c && c <= 'f')) return false;
  }
  return true;
}

kj::Array<kj::byte> encodeRecord(kj::ArrayPtr<const char> key, kj::ArrayPtr<const kj::byte> value) {
  KJ_REQUIRE(1 <= key.size() && key.size() <= sf::MAX_KEY_BYTES && value.size() <= sf::MAX_VALUE_BYTES);
  auto bytes = kj::heapArray<kj::byte>(FIXED_BYTES + key.size() + value.size() + HASH_BYTES);
  memcpy(bytes.begin(), HEAD, sizeof(HEAD));
  putLe(bytes.begin() + sizeof(HEAD), 2, key.size());
  putLe(bytes.begin() + sizeof(HEAD) + 2, 4, value.size());
  memcpy(bytes.begin() + FIXED_BYTES, key.begin(), key.size());
  if (value.size() > 0) memcpy(bytes.begin() + FIXED_BYTES + key.size(), value.begin(), value.size());
  size_t hashed = bytes.size() - HASH_BYTES;
  crypto_hash_sha256(bytes.begin() + hashed, bytes.begin(), hashed);
  return bytes;
}

kj::Maybe<StateRecord> decodeRecord(kj::ArrayPtr<const kj::byte> bytes) {
  if (bytes.size() < FIXED_BYTES + HASH_BYTES || memcmp(bytes.begin(), HEAD, sizeof(HEAD)) != 0) return nullptr;
  size_t keyLength = getLe(bytes.begin() + sizeof(HEAD), 2), valueLength = getLe(bytes.begin() + sizeof(HEAD) + 2, 4);
  if (keyLength == 0 || keyLength > sf::MAX_KEY_BYTES || valueLength > sf::MAX_VALUE_BYTES) return nullptr;
  size_t hashed = FIXED_BYTES + keyLength + valueLength;
  if (bytes.size() != hashed + HASH_BYTES) return nullptr;
  kj::byte hash[HASH_BYTES];
  crypto_hash_sha256(hash, bytes.begin(), hashed);
  if (memcmp(hash, bytes.begin() + hashed, HASH_BYTES) != 0) return nullptr;
  return StateRecord{bytes.slice(FIXED_BYTES, FIXED_BYTES + keyLength).asChars(),
                     bytes.slice(FIXED_BYTES + keyLength, hashed)};
}

}  // namespace nexus
