#include "daemons/dsoftbusd/crypto/secret-bytes.h"

#include <doctest/doctest.h>

#include <concepts>
#include <type_traits>

namespace nexus {
namespace {

static_assert(!std::is_copy_constructible_v<SecretBytes> && !std::is_copy_assignable_v<SecretBytes>);
template <typename T>
concept Printable = requires(const T& value) { kj::toCharSequence(value); };
static_assert(!Printable<SecretBytes>, "a secret must not be printable");

SecretBytes secret(kj::StringPtr text) {
  return SecretBytes::copyOf(text.asBytes());
}

TEST_CASE("a secret starts as zeros and compares by content and length") {
  CHECK(SecretBytes(4).equals(secret("\0\0\0\0"_kj)));
  CHECK(secret("abcd").equals(secret("abcd")));
  CHECK_FALSE(secret("abcd").equals(secret("abce")));
  CHECK_FALSE(secret("abcd").equals(secret("abc")));
}

TEST_CASE("a clone does not share its bytes") {
  auto original = secret("abcd");
  auto copy = original.clone();
  original.expose()[0] = 'x';
  CHECK(copy.equals(secret("abcd")));
}

TEST_CASE("wiping zeroes the bytes in place") {
  kj::byte bytes[] = {1, 2, 3};
  wipeMemory(kj::arrayPtr(bytes, 3));
  CHECK((bytes[0] | bytes[1] | bytes[2]) == 0);
  auto s = secret("abcd");
  s.wipe();
  CHECK(s.size() == 0);
}

TEST_CASE("a moved secret leaves nothing behind") {
  auto from = secret("abcd");
  auto to = kj::mv(from);
  CHECK(from.size() == 0);
  CHECK(to.equals(secret("abcd")));
  to = secret("ef");
  CHECK(to.equals(secret("ef")));
}

}  // namespace
}  // namespace nexus
