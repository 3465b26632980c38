#include "daemons/dsoftbusd/trust/identity.h"

#include <kj/debug.h>
#include <kj/encoding.h>
#include <sodium.h>

#include <cstring>

namespace nexus {

namespace {

static_assert(crypto_sign_SEEDBYTES == SEED_BYTES && crypto_sign_PUBLICKEYBYTES == KEY_BYTES);
static_assert(PROOF_BYTES == crypto_sign_PUBLICKEYBYTES + crypto_sign_BYTES);
static_assert(crypto_hash_sha256_BYTES == KEY_BYTES);

constexpr kj::StringPtr TEST_IDENTITY_PREFIX = "nexus-net test identity "_kj;

SecretBytes signingKeyOf(const SecretBytes& seed, KeyBytes& verifying) {
  KJ_REQUIRE(seed.size() == SEED_BYTES, "an Ed25519 seed is 32 bytes", seed.size());
  SecretBytes signing(crypto_sign_SECRETKEYBYTES);
  KJ_ASSERT(crypto_sign_seed_keypair(verifying.data(), signing.expose().begin(), seed.expose().begin()) == 0);
  return signing;
}

SecretBytes noiseSecretOf(const SecretBytes& seed) {
  SecretBytes secret(KEY_BYTES);
  auto bytes = secret.expose();
  crypto_hash_sha256(bytes.begin(), seed.expose().begin(), seed.size());
  bytes[0] &= 248;  // clamp, RFC 7748 section 5
  bytes[31] = (bytes[31] & 127) | 64;
  return secret;
}

KeyBytes proofDigest(ProofRole role, const KeyBytes& noisePublic) {
  auto label = role == ProofRole::SERVER ? "server-static"_kj : "client-static"_kj;
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  crypto_hash_sha256_update(&state, label.asBytes().begin(), label.size());
  crypto_hash_sha256_update(&state, noisePublic.data(), noisePublic.size());
  KeyBytes digest;
  crypto_hash_sha256_final(&state, digest.data());
  return digest;
}

SecretBytes testSeed(kj::StringPtr text) {
  auto full = kj::str(TEST_IDENTITY_PREFIX, text);
  SecretBytes seed(SEED_BYTES);
  crypto_hash_sha256(seed.expose().begin(), full.asBytes().begin(), full.size());
  return seed;
}

}  // namespace

DeviceIdentity::DeviceIdentity(const SecretBytes& seed)
    : verifying(), signing(signingKeyOf(seed, verifying)), id(deviceIdOf(verifying)), noise(noiseSecretOf(seed)) {}

DeviceIdentity DeviceIdentity::forTest(kj::StringPtr text) {
  return DeviceIdentity(testSeed(text));
}

kj::Array<kj::byte> DeviceIdentity::prove(ProofRole role) const {
  auto proof = kj::heapArray<kj::byte>(PROOF_BYTES);
  memcpy(proof.begin(), verifying.data(), KEY_BYTES);
  auto digest = proofDigest(role, noise.publicKey());
  KJ_ASSERT(crypto_sign_detached(proof.begin() + KEY_BYTES, nullptr, digest.data(), digest.size(),
                                 signing.expose().begin()) == 0);
  return proof;
}

kj::Maybe<SecretBytes> tryParseSeed(kj::ArrayPtr<const char> text) {
  auto isSpace = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (text.size() > 0 && isSpace(text[0])) text = text.slice(1, text.size());
  while (text.size() > 0 && isSpace(text.back())) text = text.slice(0, text.size() - 1);
  if (text.size() != 2 * SEED_BYTES) return nullptr;
  auto decoded = kj::decodeHex(text);
  KJ_DEFER(wipeMemory(decoded));
  if (decoded.hadErrors) return nullptr;
  return SecretBytes::copyOf(decoded);
}

kj::String deviceIdOf(const KeyBytes& verifyingKey) {
  KeyBytes digest;
  crypto_hash_sha256(digest.data(), verifyingKey.data(), verifyingKey.size());
  return toHex(digest);
}

bool isDeviceId(kj::StringPtr text) {
  if (text.size() != DEVICE_ID_CHARS) return false;
  for (char c : text) {
    if (!('0' <= c && c <= '9') && !('a' <= c && c <= 'f')) return false;
  }
  return true;
}

kj::StringPtr KJ_STRINGIFY(IdentityError error) {
  switch (error) {
    case IdentityError::BAD_LENGTH:
      return "bad proof length"_kj;
    case IdentityError::BAD_SIGNATURE:
      return "bad proof signature"_kj;
    case IdentityError::DEVICE_ID_MISMATCH:
      return "device id mismatch"_kj;
    case IdentityError::STATIC_KEY_MISMATCH:
      return "static key mismatch"_kj;
  }
  return "unknown"_kj;
}

Proven verifyProof(kj::ArrayPtr<const kj::byte> proof, ProofRole role, const KeyBytes& remoteStatic) {
  if (proof.size() != PROOF_BYTES) return IdentityError::BAD_LENGTH;
  auto verifying = keyBytes(proof.slice(0, KEY_BYTES));
  auto digest = proofDigest(role, remoteStatic);
  if (crypto_sign_verify_detached(proof.begin() + KEY_BYTES, digest.data(), digest.size(), verifying.data()) != 0) {
    return IdentityError::BAD_SIGNATURE;
  }
  return PublicIdentity{deviceIdOf(verifying), remoteStatic};
}

kj::Maybe<IdentityError> checkBinding(const PublicIdentity& proven, const PublicIdentity& expected) {
  if (proven.staticKey != expected.staticKey) return IdentityError::STATIC_KEY_MISMATCH;
  if (proven.deviceId != expected.deviceId) return IdentityError::DEVICE_ID_MISMATCH;
  return nullptr;
}

}  // namespace nexus
