#include "libs/oslite-frames/utf8.h"

#include <doctest/doctest.h>
#include <kj/string.h>

namespace nexus::oslite {
namespace {

TEST_CASE("the first and the last code point of each length are UTF-8") {
  for (auto text : {""_kj, "a"_kj, "\x7f"_kj, "\xc2\x80"_kj, "\xdf\xbf"_kj, "\xe0\xa0\x80"_kj, "\xed\x9f\xbf"_kj,
                    "\xee\x80\x80"_kj, "\xef\xbf\xbf"_kj, "\xf0\x90\x80\x80"_kj, "\xf4\x8f\xbf\xbf"_kj}) {
    CAPTURE(text.cStr());
    CHECK(isUtf8(text.asArray()));
  }
  CHECK(isUtf8(kj::StringPtr("\0", 1).asArray()));
}

TEST_CASE("overlong forms, surrogates, stray and missing continuations and what is above U+10FFFF are not") {
  for (auto text : {"\x80"_kj, "\xbf"_kj, "\xc0\x80"_kj, "\xc1\xbf"_kj, "\xc2"_kj, "\xc2x"_kj, "\xe0\x9f\xbf"_kj,
                    "\xe1\x80"_kj, "\xe1\x80x"_kj, "\xed\xa0\x80"_kj, "\xed\xbf\xbf"_kj, "\xf0\x8f\xbf\xbf"_kj,
                    "\xf1\x80\x80"_kj, "\xf4\x90\x80\x80"_kj, "\xf5\x80\x80\x80"_kj, "\xff"_kj, "a\x80"_kj}) {
    CAPTURE(text.cStr());
    CHECK_FALSE(isUtf8(text.asArray()));
  }
}

}  // namespace
}  // namespace nexus::oslite
