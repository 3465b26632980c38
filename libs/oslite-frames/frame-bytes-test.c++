#include "libs/oslite-frames/frame-bytes.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus::oslite {
namespace {

constexpr Magic MAGIC{'S', 'M'};

TEST_CASE("numbers are little-endian both ways") {
  CHECK(le<4>(0x01020304) == std::array<uint8_t, 4>{4, 3, 2, 1});
  CHECK(le<2>(0xabcd) == std::array<uint8_t, 2>{0xcd, 0xab});
  wire::Nonce nonce(span(le<8>(0x1122334455667788)));
  CHECK(fromLe(nonce.value()) == 0x1122334455667788);
  wire::Nonce largest(span(le<8>(~uint64_t(0))));
  CHECK(fromLe(largest.value()) == ~uint64_t(0));
}

TEST_CASE("a read that does not fit takes nothing") {
  kj::byte bytes[] = {1, 2, 3};
  FrameReader reader(kj::arrayPtr(bytes, 3));
  wire::Header header;
  CHECK_FALSE(reader.tryRead(header));
  CHECK(reader.remaining() == 3);
  CHECK(reader.tryTake(4) == nullptr);
  CHECK(KJ_ASSERT_NONNULL(reader.tryTake(3)).size() == 3);
  CHECK(reader.tryTake(1) == nullptr);
  CHECK(KJ_ASSERT_NONNULL(reader.tryTake(0)).size() == 0);
}

TEST_CASE("what is appended is read back, byte for byte") {
  kj::Vector<kj::byte> out;
  append(out, header(MAGIC, 0x86));
  CHECK(out.asPtr() == kj::ArrayPtr<const kj::byte>({'S', 'M', 1, 0x86}));
  FrameReader reader(out);
  wire::Header read;
  REQUIRE(reader.tryRead(read));
  CHECK(hasMagic(read, MAGIC));
  CHECK(isReplyTo(read, MAGIC, 6));
}

TEST_CASE("a header is a reply only with its magic, version, op and the reply bit") {
  CHECK_FALSE(isReplyTo(header(MAGIC, 0x06), MAGIC, 6));
  CHECK_FALSE(isReplyTo(header(MAGIC, 0x85), MAGIC, 6));
  CHECK_FALSE(isReplyTo(header(Magic{'S', 'N'}, 0x86), MAGIC, 6));
  CHECK_FALSE(isReplyTo(header(Magic{'T', 'M'}, 0x86), MAGIC, 6));
  CHECK_FALSE(isReplyTo(wire::Header(span(MAGIC), 2, 0x86), MAGIC, 6));
}

}  // namespace
}  // namespace nexus::oslite
