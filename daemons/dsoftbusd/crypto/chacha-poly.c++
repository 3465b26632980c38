#include "daemons/dsoftbusd/crypto/chacha-poly.h"

#include <kj/debug.h>
#include <openssl/evp.h>

#include <cstring>

namespace nexus {

namespace {

// Fetched once: a fetch per record would cost more than a short record. Never written again, never freed.
const EVP_CIPHER* chacha20() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "ChaCha20", nullptr);
  KJ_ASSERT(cipher != nullptr, "OpenSSL has no ChaCha20: libcrypto 3 with its default provider is needed");
  return cipher;
}

EVP_MAC* poly1305() {
  static EVP_MAC* const mac = EVP_MAC_fetch(nullptr, "POLY1305", nullptr);
  KJ_ASSERT(mac != nullptr, "OpenSSL has no Poly1305: libcrypto 3 with its default provider is needed");
  return mac;
}

// OpenSSL's form: the block number, little-endian, then the nonce.
constexpr size_t IV_BYTES = 4 + CHACHA_NONCE_BYTES;
constexpr size_t MAX_BYTES = 1 << 30;
constexpr kj::byte ZEROS[CHACHA_KEY_BYTES] = {};

void cryptWith(EVP_CIPHER_CTX* stream, kj::byte* out, kj::ArrayPtr<const kj::byte> in, const kj::byte* key,
               const kj::byte* iv) {
  int size = 0;
  KJ_ASSERT(EVP_CipherInit_ex2(stream, nullptr, key, iv, 1, nullptr) == 1);
  KJ_ASSERT(EVP_CipherUpdate(stream, out, &size, in.begin(), in.size()) == 1 && size_t(size) == in.size());
}

}  // namespace

ChachaPoly::ChachaPoly() : stream(EVP_CIPHER_CTX_new()), mac(EVP_MAC_CTX_new(poly1305())) {
  KJ_ASSERT(stream != nullptr && mac != nullptr);
  KJ_ASSERT(EVP_CipherInit_ex2(stream, chacha20(), ZEROS, ZEROS, 1, nullptr) == 1);
}

ChachaPoly::~ChachaPoly() noexcept {
  EVP_CIPHER_CTX_free(stream);
  EVP_MAC_CTX_free(mac);
}

void ChachaPoly::crypt(kj::byte* out, kj::ArrayPtr<const kj::byte> in, kj::ArrayPtr<const kj::byte> key,
                       kj::ArrayPtr<const kj::byte> nonce, uint32_t block) {
  KJ_REQUIRE(key.size() == CHACHA_KEY_BYTES && nonce.size() == CHACHA_NONCE_BYTES && in.size() <= MAX_BYTES,
             "not the sizes of ChaCha20", key.size(), nonce.size(), in.size());
  if (in.size() == 0) return;
  kj::byte iv[IV_BYTES];
  for (int i = 0; i < 4; i++) iv[i] = block >> 8 * i;
  memcpy(iv + 4, nonce.begin(), CHACHA_NONCE_BYTES);
  cryptWith(stream, out, in, key.begin(), iv);
  // Another key in the place of this one, and its key stream where the rest of a block was.
  kj::byte overwritten;
  cryptWith(stream, &overwritten, kj::arrayPtr(ZEROS, 1), ZEROS, ZEROS);
}

void ChachaPoly::authenticate(kj::byte* tag, kj::ArrayPtr<const kj::byte> key,
                              std::initializer_list<kj::ArrayPtr<const kj::byte>> parts) {
  KJ_REQUIRE(key.size() == CHACHA_KEY_BYTES, "not the size of a Poly1305 key", key.size());
  size_t size = 0;
  KJ_ASSERT(EVP_MAC_init(mac, key.begin(), key.size(), nullptr) == 1);
  for (auto part : parts) {
    KJ_ASSERT(part.size() == 0 || EVP_MAC_update(mac, part.begin(), part.size()) == 1);
  }
  // Wipes its state, key included.
  KJ_ASSERT(EVP_MAC_final(mac, tag, &size, POLY_TAG_BYTES) == 1 && size == POLY_TAG_BYTES);
}

}  // namespace nexus
