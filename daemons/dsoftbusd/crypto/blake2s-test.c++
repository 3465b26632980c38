#include "daemons/dsoftbusd/crypto/blake2s.h"

#include <doctest/doctest.h>
#include <kj/encoding.h>

namespace nexus {
namespace {

kj::String hmac(kj::StringPtr key, ByteParts parts) {
  kj::byte out[BLAKE2S_BYTES];
  hmacBlake2s(key.asBytes(), parts, kj::arrayPtr(out, sizeof(out)));
  return kj::encodeHex(kj::arrayPtr(out, sizeof(out)));
}

TEST_CASE("BLAKE2s gives the digest of RFC 7693 appendix B") {
  CHECK(toHex(blake2s({"abc"_kj.asBytes()})) == "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
  CHECK(toHex(blake2s({})) == "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9");
}

TEST_CASE("how the input is cut into parts does not matter") {
  CHECK(blake2s({"a"_kj.asBytes(), ""_kj.asBytes(), "bc"_kj.asBytes()}) == blake2s({"abc"_kj.asBytes()}));
  CHECK(hmac("k", {"a"_kj.asBytes(), "bc"_kj.asBytes()}) == hmac("k", {"abc"_kj.asBytes()}));
}

TEST_CASE("HMAC-BLAKE2s agrees with an independent implementation") {
  CHECK(hmac("nexus key", {"nexus message"_kj.asBytes()}) ==
        "71afdde48fa0b0cf2948b272f4ac4b044ff813e670fad944668702e07c0e13c2");
  CHECK(hmac(kj::str(kj::repeat('k', BLAKE2S_BLOCK_BYTES)), {}) ==
        "622fca212e68c32a731a0bef9c6c5974d3fab4fd4c9b9ada52154f5de01b486e");
}

TEST_CASE("an HMAC key longer than a block is refused") {
  CHECK_THROWS(hmac(kj::str(kj::repeat('k', BLAKE2S_BLOCK_BYTES + 1)), {}));
}

TEST_CASE("HKDF agrees with an independent implementation") {
  auto chain = blake2s({"chain"_kj.asBytes()});
  auto pair = hkdfBlake2s(SecretBytes::copyOf(asBytes(chain)), "input"_kj.asBytes());
  CHECK(kj::encodeHex(pair.first.expose()) == "0570d2892058826d06223979646c3ca0953d5735479846454d726756bc2287fd");
  CHECK(kj::encodeHex(pair.second.expose()) == "f3b4af5e1d749d4bde97bac10037082f1795a5c541d8ddc11e087a30cb77a055");
}

}  // namespace
}  // namespace nexus
