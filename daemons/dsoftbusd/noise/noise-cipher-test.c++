#include "daemons/dsoftbusd/noise/noise-cipher.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

NoiseCipher cipher(kj::byte fill = 7, uint64_t nonce = 0) {
  SecretBytes key(32);
  for (auto& b : key.expose()) b = fill;
  return NoiseCipher(kj::mv(key), nonce);
}

constexpr auto AD = "data"_kj;
constexpr auto TEXT = "text"_kj;

TEST_CASE("what one end encrypts, the other decrypts, in order") {
  auto a = cipher(), b = cipher();
  for (int i = 0; i < 3; i++) {
    auto sealed = KJ_ASSERT_NONNULL(a.tryEncrypt(AD.asBytes(), TEXT.asBytes()));
    CHECK(sealed.size() == TEXT.size() + NOISE_TAG_BYTES);
    CHECK(KJ_ASSERT_NONNULL(b.tryDecrypt(AD.asBytes(), sealed)) == TEXT.asBytes());
  }
  CHECK(b.nonce() == 3);
}

TEST_CASE("a ciphertext that does not decrypt leaves the counter where it was") {
  auto a = cipher(), b = cipher();
  auto sealed = KJ_ASSERT_NONNULL(a.tryEncrypt(AD.asBytes(), TEXT.asBytes()));
  for (size_t i = 0; i < sealed.size(); i++) {
    sealed[i] ^= 1;
    CHECK(b.tryDecrypt(AD.asBytes(), sealed) == nullptr);
    sealed[i] ^= 1;
  }
  CHECK(b.tryDecrypt("other"_kj.asBytes(), sealed) == nullptr);
  CHECK(b.tryDecrypt(AD.asBytes(), sealed.slice(0, NOISE_TAG_BYTES - 1)) == nullptr);
  CHECK(b.nonce() == 0);
  CHECK(b.tryDecrypt(AD.asBytes(), sealed) != nullptr);
}

TEST_CASE("the reserved counter value is never used") {
  auto a = cipher(7, NoiseCipher::RESERVED_NONCE - 1), b = cipher(7, NoiseCipher::RESERVED_NONCE - 1);
  auto last = KJ_ASSERT_NONNULL(a.tryEncrypt(nullptr, TEXT.asBytes()));
  CHECK(a.tryEncrypt(nullptr, TEXT.asBytes()) == nullptr);
  CHECK(b.tryDecrypt(nullptr, last) != nullptr);
  CHECK(b.tryDecrypt(nullptr, last) == nullptr);
  CHECK(b.nonce() == NoiseCipher::RESERVED_NONCE);
}

TEST_CASE("rekeying changes the key and keeps the counter") {
  auto a = cipher(), b = cipher(), stale = cipher();
  a.rekey();
  b.rekey();
  auto sealed = KJ_ASSERT_NONNULL(a.tryEncrypt(nullptr, TEXT.asBytes()));
  CHECK(a.nonce() == 1);
  CHECK(stale.tryDecrypt(nullptr, sealed) == nullptr);
  CHECK(b.tryDecrypt(nullptr, sealed) != nullptr);
}

TEST_CASE("a key that is not 32 bytes is refused") {
  CHECK_THROWS(NoiseCipher(SecretBytes(31)));
}

}  // namespace
}  // namespace nexus
