#include "daemons/dsoftbusd/noise/noise-symmetric.h"

#include <kj/debug.h>

namespace nexus {

NoiseSymmetric::NoiseSymmetric(kj::StringPtr protocolName) : hash(blake2s({protocolName.asBytes()})) {
  KJ_REQUIRE(protocolName.size() > BLAKE2S_BYTES, "a shorter name would be padded, not hashed", protocolName);
  chainingKey = SecretBytes::copyOf(asBytes(hash));
}

void NoiseSymmetric::mixKey(const SecretBytes& input) {
  auto pair = hkdfBlake2s(chainingKey, input.expose());
  chainingKey = kj::mv(pair.first);
  cipher = NoiseCipher(kj::mv(pair.second));
}

kj::Array<kj::byte> NoiseSymmetric::encryptAndHash(kj::ArrayPtr<const kj::byte> plaintext) {
  auto& c = KJ_REQUIRE_NONNULL(cipher, "XK encrypts nothing before its first key");
  auto ciphertext = KJ_ASSERT_NONNULL(c.tryEncrypt(asBytes(hash), plaintext));
  mixHash(ciphertext);
  return ciphertext;
}

kj::Maybe<kj::Array<kj::byte>> NoiseSymmetric::tryDecryptAndHash(kj::ArrayPtr<const kj::byte> ciphertext) {
  auto& c = KJ_REQUIRE_NONNULL(cipher, "XK encrypts nothing before its first key");
  auto plaintext = c.tryDecrypt(asBytes(hash), ciphertext);
  if (plaintext != nullptr) mixHash(ciphertext);
  return plaintext;
}

NoiseSymmetric::Keys NoiseSymmetric::split() {
  auto pair = hkdfBlake2s(chainingKey, nullptr);
  wipe();
  return {NoiseCipher(kj::mv(pair.first)), NoiseCipher(kj::mv(pair.second))};
}

void NoiseSymmetric::wipe() {
  chainingKey.wipe();
  cipher = nullptr;
}

}  // namespace nexus
