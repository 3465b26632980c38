#include "daemons/dsoftbusd/noise/noise-cipher.h"

#include <kj/debug.h>
#include <sodium.h>

#include <cstring>

namespace nexus {

namespace {

static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == NOISE_TAG_BYTES);
constexpr size_t CIPHER_KEY_BYTES = crypto_aead_chacha20poly1305_ietf_KEYBYTES;

// Section 12.3: 32 bits of zeros, then the counter little-endian.
struct Nonce {
  kj::byte bytes[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {};
  explicit Nonce(uint64_t counter) {
    for (int i = 0; i < 8; i++) bytes[4 + i] = counter >> 8 * i;
  }
};

void seal(kj::byte* out, const SecretBytes& key, uint64_t counter, kj::ArrayPtr<const kj::byte> ad,
          kj::ArrayPtr<const kj::byte> plaintext) {
  Nonce nonce(counter);
  crypto_aead_chacha20poly1305_ietf_encrypt(out, nullptr, plaintext.begin(), plaintext.size(), ad.begin(), ad.size(),
                                            nullptr, nonce.bytes, key.expose().begin());
}

}  // namespace

NoiseCipher::NoiseCipher(SecretBytes k, uint64_t firstNonce) : key(kj::mv(k)), counter(firstNonce) {
  KJ_REQUIRE(key.size() == CIPHER_KEY_BYTES, "a cipher key is 32 bytes", key.size());
}

kj::Maybe<kj::Array<kj::byte>> NoiseCipher::tryEncrypt(kj::ArrayPtr<const kj::byte> ad,
                                                       kj::ArrayPtr<const kj::byte> plaintext) {
  if (counter == RESERVED_NONCE) return nullptr;
  auto out = kj::heapArray<kj::byte>(plaintext.size() + NOISE_TAG_BYTES);
  seal(out.begin(), key, counter, ad, plaintext);
  counter++;
  return kj::mv(out);
}

kj::Maybe<kj::Array<kj::byte>> NoiseCipher::tryDecrypt(kj::ArrayPtr<const kj::byte> ad,
                                                       kj::ArrayPtr<const kj::byte> ciphertext) {
  if (counter == RESERVED_NONCE || ciphertext.size() < NOISE_TAG_BYTES) return nullptr;
  auto out = kj::heapArray<kj::byte>(ciphertext.size() - NOISE_TAG_BYTES);
  Nonce nonce(counter);
  if (crypto_aead_chacha20poly1305_ietf_decrypt(out.begin(), nullptr, nullptr, ciphertext.begin(), ciphertext.size(),
                                                ad.begin(), ad.size(), nonce.bytes, key.expose().begin()) != 0) {
    return nullptr;
  }
  counter++;
  return kj::mv(out);
}

bool NoiseCipher::trySealInPlace(kj::ArrayPtr<kj::byte> bytes) {
  KJ_REQUIRE(bytes.size() >= NOISE_TAG_BYTES, "no room for the tag", bytes.size());
  if (counter == RESERVED_NONCE) return false;
  seal(bytes.begin(), key, counter, nullptr, bytes.slice(0, bytes.size() - NOISE_TAG_BYTES));
  counter++;
  return true;
}

kj::Maybe<kj::ArrayPtr<kj::byte>> NoiseCipher::tryOpenInPlace(kj::ArrayPtr<kj::byte> bytes) {
  if (bytes.size() < NOISE_TAG_BYTES) return nullptr;
  auto plaintext = bytes.slice(0, bytes.size() - NOISE_TAG_BYTES);
  if (!tryOpen(bytes, plaintext)) return nullptr;
  return plaintext;
}

bool NoiseCipher::tryOpen(kj::ArrayPtr<const kj::byte> ciphertext, kj::ArrayPtr<kj::byte> plaintext) {
  if (counter == RESERVED_NONCE || ciphertext.size() < NOISE_TAG_BYTES) return false;
  KJ_REQUIRE(plaintext.size() == ciphertext.size() - NOISE_TAG_BYTES, "the place does not fit", plaintext.size());
  Nonce nonce(counter);
  if (crypto_aead_chacha20poly1305_ietf_decrypt(plaintext.begin(), nullptr, nullptr, ciphertext.begin(),
                                                ciphertext.size(), nullptr, 0, nonce.bytes,
                                                key.expose().begin()) != 0) {
    return false;
  }
  counter++;
  return true;
}

void NoiseCipher::rekey() {
  const kj::byte zeros[CIPHER_KEY_BYTES] = {};
  SecretBytes sealed(CIPHER_KEY_BYTES + NOISE_TAG_BYTES);
  seal(sealed.expose().begin(), key, RESERVED_NONCE, nullptr, kj::arrayPtr(zeros, sizeof(zeros)));
  key = SecretBytes::copyOf(sealed.expose().slice(0, CIPHER_KEY_BYTES));
}

}  // namespace nexus
