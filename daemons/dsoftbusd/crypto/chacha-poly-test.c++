#include "daemons/dsoftbusd/crypto/chacha-poly.h"

#include <doctest/doctest.h>
#include <kj/encoding.h>
#include <sodium.h>

#include <cstring>
#include <random>

namespace nexus {
namespace {

kj::Array<kj::byte> hex(kj::StringPtr text) {
  return kj::decodeHex(text);
}

TEST_CASE("the key stream is that of RFC 8439, section 2.4.2") {
  auto key = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  auto nonce = hex("000000000000004a00000000");
  auto text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."_kj
          .asBytes();
  auto out = kj::heapArray<kj::byte>(text.size());
  ChachaPoly crypto;
  crypto.crypt(out.begin(), text, key, nonce, 1);
  CHECK(
      kj::encodeHex(out) ==
      "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b3571639d624e65152ab"
      "8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab77937365af90bbf74a35be6b40b8eedf2785e42"
      "874d");
}

TEST_CASE("the tag is that of RFC 8439, section 2.5.2, however the text is cut") {
  auto key = hex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b");
  auto text = "Cryptographic Forum Research Group"_kj.asBytes();
  ChachaPoly crypto;
  for (size_t cut = 0; cut <= text.size(); cut++) {
    kj::byte tag[POLY_TAG_BYTES];
    crypto.authenticate(tag, key, {text.slice(0, cut), text.slice(cut, text.size())});
    CHECK(kj::encodeHex(kj::arrayPtr(tag, sizeof(tag))) == "a8061dc1305136c6c22b8baf0c0127a9");
  }
}

TEST_CASE("both halves agree with libsodium for every length, key, nonce and block, to the same place and to another") {
  REQUIRE(sodium_init() >= 0);
  std::mt19937 random(8439);
  ChachaPoly crypto;
  for (size_t size = 0; size < 70000; size += size < 700 ? 1 : 997) {
    CAPTURE(size);
    kj::byte key[CHACHA_KEY_BYTES], nonce[CHACHA_NONCE_BYTES], tag[POLY_TAG_BYTES], expectedTag[POLY_TAG_BYTES];
    for (auto& byte : key) byte = random();
    for (auto& byte : nonce) byte = random();
    auto text = kj::heapArray<kj::byte>(size), out = kj::heapArray<kj::byte>(size);
    auto expected = kj::heapArray<kj::byte>(size);
    for (auto& byte : text) byte = random();
    uint32_t block = random() % 3;
    crypto_stream_chacha20_ietf_xor_ic(expected.begin(), text.begin(), size, nonce, block, key);
    crypto.crypt(out.begin(), text, kj::arrayPtr(key, sizeof(key)), kj::arrayPtr(nonce, sizeof(nonce)), block);
    REQUIRE(out == expected);
    crypto_onetimeauth_poly1305(expectedTag, text.begin(), size, key);
    crypto.authenticate(tag, kj::arrayPtr(key, sizeof(key)), {text});
    REQUIRE(memcmp(tag, expectedTag, sizeof(tag)) == 0);
    crypto.crypt(text.begin(), text, kj::arrayPtr(key, sizeof(key)), kj::arrayPtr(nonce, sizeof(nonce)), block);
    REQUIRE(text == expected);
  }
}

TEST_CASE("keys and nonces of a wrong size are refused") {
  ChachaPoly crypto;
  kj::byte key[CHACHA_KEY_BYTES] = {}, nonce[CHACHA_NONCE_BYTES] = {}, out[POLY_TAG_BYTES] = {};
  auto all = [](kj::ArrayPtr<const kj::byte> bytes) { return bytes; };
  CHECK_THROWS(crypto.crypt(out, nullptr, all(key).slice(0, 31), all(nonce), 0));
  CHECK_THROWS(crypto.crypt(out, nullptr, all(key), all(nonce).slice(0, 8), 0));
  CHECK_THROWS(crypto.authenticate(out, all(key).slice(0, 31), {}));
}

}  // namespace
}  // namespace nexus
