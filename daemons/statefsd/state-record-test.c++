#include "daemons/statefsd/state-record.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

TEST_CASE("a record is read as it was written, an empty value too") {
  kj::byte value[] = {1, 0, 255};
  auto bytes = encodeRecord("/state/a"_kj, value);
  CHECK(bytes.size() == 11 + 8 + 3 + 32);
  auto record = KJ_ASSERT_NONNULL(decodeRecord(bytes));
  CHECK(record.key == "/state/a"_kj.asArray());
  CHECK(record.value == kj::arrayPtr(value, 3));
  auto empty = encodeRecord("/state/a"_kj, nullptr);
  CHECK(KJ_ASSERT_NONNULL(decodeRecord(empty)).value.size() == 0);
}

TEST_CASE("a record that is cut, extended or changed in any bit gives nothing") {
  kj::byte value[] = {1, 0, 255};
  auto bytes = encodeRecord("/state/a"_kj, value);
  for (size_t size = 0; size < bytes.size(); size++) CHECK(decodeRecord(bytes.slice(0, size)) == nullptr);
  auto longer = kj::heapArray<kj::byte>(bytes.size() + 1);
  memcpy(longer.begin(), bytes.begin(), bytes.size());
  longer[bytes.size()] = 0;
  CHECK(decodeRecord(longer) == nullptr);
  for (size_t i = 0; i < bytes.size(); i++) {
    for (int bit = 0; bit < 8; bit++) {
      auto bad = kj::heapArray<kj::byte>(bytes);
      bad[i] ^= 1 << bit;
      CHECK(decodeRecord(bad) == nullptr);
    }
  }
}

TEST_CASE("the largest record has its bound, and what is larger cannot be encoded") {
  auto key = kj::str(kj::repeat('k', 255));
  auto value = kj::heapArray<kj::byte>(65537);
  memset(value.begin(), 7, value.size());
  CHECK(encodeRecord(key, value.slice(0, 65536)).size() == MAX_RECORD_BYTES);
  CHECK_THROWS(encodeRecord(key, value));
  CHECK_THROWS(encodeRecord(nullptr, nullptr));
}

TEST_CASE("a record is named by the SHA-256 of its key") {
  CHECK(recordName("abc"_kj) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(isRecordName(recordName("/state/a"_kj)));
  for (auto name : {""_kj, "new"_kj, "BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"_kj}) {
    CHECK_FALSE(isRecordName(name));
  }
}

}  // namespace
}  // namespace nexus
