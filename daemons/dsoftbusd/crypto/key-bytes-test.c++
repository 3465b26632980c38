#include "daemons/dsoftbusd/crypto/key-bytes.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

TEST_CASE("a key goes to hexadecimal and back") {
  KeyBytes key{};
  key[0] = 0xab, key[31] = 0x01;
  auto text = toHex(key);
  CHECK(text == "ab00000000000000000000000000000000000000000000000000000000000001");
  CHECK(KJ_ASSERT_NONNULL(tryParseKeyBytes(text)) == key);
  text[0] = 'A';
  CHECK(KJ_ASSERT_NONNULL(tryParseKeyBytes(text)) == key);
}

TEST_CASE("text that is not 64 hexadecimal digits is no key") {
  CHECK(tryParseKeyBytes("") == nullptr);
  CHECK(tryParseKeyBytes(kj::str(kj::repeat('a', 63))) == nullptr);
  CHECK(tryParseKeyBytes(kj::str(kj::repeat('a', 65))) == nullptr);
  CHECK(tryParseKeyBytes(kj::str(kj::repeat('a', 63), 'g')) == nullptr);
  CHECK(tryParseKeyBytes(kj::str(kj::repeat('a', 64))) != nullptr);
}

TEST_CASE("bytes of another length are no key") {
  kj::byte bytes[33] = {};
  CHECK_THROWS(keyBytes(kj::arrayPtr(bytes, 31)));
  CHECK_THROWS(keyBytes(kj::arrayPtr(bytes, 33)));
  CHECK(keyBytes(kj::arrayPtr(bytes, 32)) == KeyBytes{});
}

}  // namespace
}  // namespace nexus
