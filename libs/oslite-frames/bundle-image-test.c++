#include "libs/oslite-frames/bundle-image.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/string.h>

#include "libs/oslite-frames/goldens.h"

namespace nexus::nxbi {
namespace {

using Bytes = kj::Array<kj::byte>;

Entry systemEntry() {
  return {"system"_kj, "1.0.0"_kj, "build.prop"_kj, KIND_FILE, "ro.nexus.build=dev\n"_kj.asBytes()};
}

TEST_CASE("images are the golden bytes, and they decode to their entries") {
  Entry system[] = {systemEntry()};
  CHECK(KJ_ASSERT_NONNULL(tryEncodeImage(system)) == golden("nxbi-system"));
  CHECK(KJ_ASSERT_NONNULL(tryEncodeImage(nullptr)) == golden("nxbi-empty"));
  auto image = golden("nxbi-system");
  auto entries = KJ_ASSERT_NONNULL(decodeImage(image));
  REQUIRE(entries.size() == 1);
  CHECK(entries[0] == systemEntry());
  CHECK(KJ_ASSERT_NONNULL(decodeImage(golden("nxbi-empty"))).size() == 0);

  image = golden("nxbi-two");
  entries = KJ_ASSERT_NONNULL(decodeImage(image));
  REQUIRE(entries.size() == 2);
  kj::byte data[] = {0, 1, 2, 3, 4};
  CHECK(entries[0] == Entry{"app"_kj, "0.1"_kj, "bin/app"_kj, KIND_FILE, data});
  CHECK(entries[1] == Entry{"app"_kj, "0.1"_kj, "empty"_kj, 7, nullptr});
  CHECK(KJ_ASSERT_NONNULL(tryEncodeImage(entries)) == image);
}

TEST_CASE("every truncation and every trailing byte is refused") {
  for (auto name : {"nxbi-system", "nxbi-empty", "nxbi-two"}) {
    auto image = golden(name);
    for (size_t size = 0; size < image.size(); size++) CHECK(decodeImage(image.slice(0, size)) == nullptr);
    auto longer = kj::heapArray<kj::byte>(image.size() + 1);
    memcpy(longer.begin(), image.begin(), image.size());
    longer[image.size()] = 0;
    CHECK(decodeImage(longer) == nullptr);
  }
}

TEST_CASE("every change of magic, version, count or a length is refused") {
  auto image = golden("nxbi-system");
  constexpr size_t LENGTHS[] = {7, 14, 20, 21, 34, 35, 36, 37};  // bundle, version, path, data
  auto refusedAt = [&](size_t i) {
    for (int bit = 0; bit < 8; bit++) {
      auto copy = kj::heapArray<kj::byte>(image.asPtr());
      copy[i] ^= 1 << bit;
      CAPTURE(i);
      CAPTURE(bit);
      CHECK(decodeImage(copy) == nullptr);
    }
  };
  for (size_t i = 0; i < 7; i++) refusedAt(i);
  for (size_t i : LENGTHS) refusedAt(i);
}

TEST_CASE("a count that the bytes cannot hold is refused before memory is taken") {
  kj::byte image[] = {'N', 'X', 'B', 'I', 1, 0xff, 0xff};
  CHECK(decodeImage(image) == nullptr);
}

TEST_CASE("fields are bounded where they are encoded") {
  auto encodes = [](Entry entry) { return tryEncodeImage(kj::arrayPtr(&entry, 1)) != nullptr; };
  auto text = kj::str(kj::repeat('x', 65536));
  auto part = [&](size_t size) { return text.asArray().slice(0, size).asConst(); };
  auto entry = systemEntry();
  CHECK(encodes({part(255), part(255), part(65535), 0, nullptr}));
  CHECK_FALSE(encodes({part(256), entry.version, entry.path, 0, nullptr}));
  CHECK_FALSE(encodes({entry.bundle, part(256), entry.path, 0, nullptr}));
  CHECK_FALSE(encodes({entry.bundle, entry.version, part(65536), 0, nullptr}));
  CHECK_FALSE(encodes({nullptr, entry.version, entry.path, 0, nullptr}));
  CHECK_FALSE(encodes({entry.bundle, nullptr, entry.path, 0, nullptr}));
  CHECK_FALSE(encodes({entry.bundle, entry.version, nullptr, 0, nullptr}));
}

TEST_CASE("65535 entries fit, one more does not") {
  auto entries = kj::heapArray<Entry>(65536);
  for (auto& e : entries) e = {"b"_kj, "v"_kj, "p"_kj, 0, nullptr};
  CHECK(tryEncodeImage(entries) == nullptr);
  auto image = KJ_ASSERT_NONNULL(tryEncodeImage(entries.slice(0, 65535)));
  CHECK(KJ_ASSERT_NONNULL(decodeImage(image)).size() == 65535);
}

}  // namespace
}  // namespace nexus::nxbi
