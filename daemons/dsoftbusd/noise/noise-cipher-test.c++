#include "daemons/dsoftbusd/noise/noise-cipher.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

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

// Lengths around every edge: of the short way, of a block, of the several blocks that libsodium does at once.
kj::Vector<size_t> lengths() {
  kj::Vector<size_t> result;
  for (size_t i = 0; i < 200; i++) result.add(i);
  for (size_t edge : {256, 512, 1024, 1024 + 64, 2048, 4096, 32768, 32773}) {
    for (size_t i = edge - 3; i <= edge + 3; i++) result.add(i);
  }
  for (size_t i = 1024; i < 1024 + 600; i += 13) result.add(i);
  result.add(65519);
  return result;
}

TEST_CASE("a text in two parts is sealed as ChaCha20-Poly1305 of the whole, and opened in two parts as well") {
  auto whole = kj::heapArray<kj::byte>(66000);
  for (size_t i = 0; i < whole.size(); i++) whole[i] = i * 31 + i / 253;
  uint64_t nonce = 1;
  for (size_t size : lengths()) {
    for (size_t head : {size_t(0), size_t(1), size_t(5), size_t(63), size_t(64), size_t(65)}) {
      if (head > size) continue;
      CAPTURE(size);
      CAPTURE(head);
      auto text = whole.slice(head, head + size);  // not always at the same alignment
      auto a = cipher(7, nonce), b = cipher(7, nonce), reference = cipher(7, nonce);
      nonce = nonce * 5 + 1;
      auto expected = KJ_ASSERT_NONNULL(reference.tryEncrypt(nullptr, text));
      auto sealed = kj::heapArray<kj::byte>(size + NOISE_TAG_BYTES);
      REQUIRE(a.trySealTo(sealed, text.slice(0, head), text.slice(head, size)));
      REQUIRE(sealed == expected);
      CHECK(a.nonce() == reference.nonce());
      auto message = KJ_ASSERT_NONNULL(b.tryVerify(expected));
      CHECK(b.nonce() == reference.nonce());
      REQUIRE(message.size() == size);
      REQUIRE(message.start() == text.slice(0, kj::min(size, VerifiedMessage::START_BYTES)));
      size_t from = kj::min(head, message.start().size());
      auto opened = kj::heapArray<kj::byte>(size - from);
      message.open(from, opened);
      REQUIRE(opened == text.slice(from, size));
      message.open(from, expected.slice(from, size));  // where it lies
      REQUIRE(expected.slice(from, size) == text.slice(from, size));
    }
  }
}

TEST_CASE("what is not authentic is not verified, whichever byte is wrong, and the counter stays") {
  auto text = kj::heapArray<kj::byte>(1500);
  memset(text.begin(), 't', text.size());
  auto a = cipher(), b = cipher();
  auto sealed = KJ_ASSERT_NONNULL(a.tryEncrypt(nullptr, text));
  for (size_t i = 0; i < sealed.size(); i++) {
    sealed[i] ^= 0x80;
    REQUIRE(b.tryVerify(sealed) == nullptr);
    sealed[i] ^= 0x80;
  }
  CHECK(b.tryVerify(sealed.slice(0, sealed.size() - 1)) == nullptr);
  CHECK(b.tryVerify(sealed.slice(0, NOISE_TAG_BYTES - 1)) == nullptr);
  CHECK(b.nonce() == 0);
  CHECK(b.tryVerify(sealed) != nullptr);
  CHECK(b.tryVerify(sealed) == nullptr);  // once
  auto last = cipher(7, NoiseCipher::RESERVED_NONCE);
  auto out = kj::heapArray<kj::byte>(text.size() + NOISE_TAG_BYTES);
  CHECK_FALSE(last.trySealTo(out, nullptr, text));
  CHECK(last.tryVerify(sealed) == nullptr);
  CHECK_THROWS(a.trySealTo(text, nullptr, text));
}

TEST_CASE("a key that is not 32 bytes is refused") {
  CHECK_THROWS(NoiseCipher(SecretBytes(31)));
}

}  // namespace
}  // namespace nexus
