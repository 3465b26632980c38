#include "daemons/dsoftbusd/mux/mux-frame.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/vector.h>

namespace nexus {
namespace {

// The first byte stands for the record's type, the rest is the body.
kj::Maybe<MuxFrame> parse(kj::ArrayPtr<const kj::byte> bytes) {
  return tryParseMuxFrame(bytes[0], bytes.slice(1, bytes.size()));
}
bool parses(kj::StringPtr hex) {
  auto bytes = kj::decodeHex(hex);
  return parse(bytes) != nullptr;
}
kj::String encode(const MuxFrame& frame) {
  auto encoded = encodeMuxFrame(frame);
  kj::Vector<kj::byte> bytes;
  bytes.add(encoded.type);
  bytes.addAll(encoded.body);
  return kj::encodeHex(bytes);
}

// Golden bytes, written by hand from the table in the header.
const auto OPEN_HEX =
    "10"
    "00000001"
    "04"
    "63726f7373766d2f62756c6b"_kj;  // crossvm/bulk
const auto OPEN_ACK_HEX =
    "11"
    "01020304"_kj;
const auto DATA_HEX =
    "12"
    "00000001"
    "00ff"_kj;
const auto WINDOW_UPDATE_HEX =
    "13"
    "00000002"
    "0000000000008000"_kj;
const auto WINDOW_UPDATE_NEGATIVE_HEX =
    "13"
    "00000002"
    "ffffffffffffffff"_kj;
const auto RST_HEX =
    "14"
    "fffffffe"
    "05"
    "0000000000000007"_kj;
const auto CLOSE_HEX =
    "15"
    "00000003"_kj;

TEST_CASE("the golden bytes of each frame parse to its fields and are what the encoder writes") {
  auto golden = [](kj::StringPtr hex, auto&& check) {
    CAPTURE(hex.cStr());
    auto bytes = kj::decodeHex(hex);
    auto frame = KJ_ASSERT_NONNULL(parse(bytes));
    check(frame);
    CHECK(encode(frame) == hex);
  };
  golden(OPEN_HEX, [](MuxFrame& frame) {
    auto& open = frame.get<MuxOpen>();
    CHECK(open.stream == 1);
    CHECK(open.priority == 4);
    CHECK(kj::str(open.name) == "crossvm/bulk");
  });
  golden(OPEN_ACK_HEX, [](MuxFrame& frame) { CHECK(frame.get<MuxOpenAck>().stream == 0x01020304); });
  golden(DATA_HEX, [](MuxFrame& frame) {
    auto& data = frame.get<MuxData>();
    CHECK(data.stream == 1);
    REQUIRE(data.payload.size() == 2);
    CHECK(data.payload[1] == 0xff);
  });
  golden(WINDOW_UPDATE_HEX, [](MuxFrame& frame) { CHECK(frame.get<MuxWindowUpdate>().delta == 32768); });
  golden(WINDOW_UPDATE_NEGATIVE_HEX, [](MuxFrame& frame) { CHECK(frame.get<MuxWindowUpdate>().delta == -1); });
  golden(RST_HEX, [](MuxFrame& frame) {
    CHECK(frame.get<MuxRst>().stream == 0xfffffffe);
    CHECK(frame.get<MuxRst>().reason == MuxResetReason::DENIED);
    CHECK(frame.get<MuxRst>().auditId == 7);
  });
  golden(CLOSE_HEX, [](MuxFrame& frame) { CHECK(frame.get<MuxClose>().stream == 3); });
}

TEST_CASE("a frame cut short anywhere in its fixed part is refused") {
  auto cutShort = [](kj::StringPtr hex, size_t fixedPart) {
    auto bytes = kj::decodeHex(hex);
    for (size_t n = 1; n < fixedPart; n++) {
      CAPTURE(n);
      CHECK(parse(bytes.slice(0, n)) == nullptr);
    }
    CHECK(parse(bytes.slice(0, fixedPart)) != nullptr);
  };
  cutShort(OPEN_HEX, 6);  // the core refuses the empty name
  cutShort(OPEN_ACK_HEX, 5);
  cutShort(DATA_HEX, 6);  // at least one byte of payload
  cutShort(WINDOW_UPDATE_HEX, 13);
  cutShort(RST_HEX, 14);
  cutShort(CLOSE_HEX, 5);
}

TEST_CASE("a byte after a frame of fixed length is refused") {
  for (auto hex : {OPEN_ACK_HEX, WINDOW_UPDATE_HEX, RST_HEX, CLOSE_HEX}) {
    CHECK(parses(hex));
    CHECK_FALSE(parses(kj::str(hex, "00")));
  }
}

TEST_CASE("stream 0, priority 8, a delta of 0, an unknown reason and an unknown type are refused") {
  CHECK_FALSE(parses("100000000004aa"));
  CHECK_FALSE(parses("110000000000"));
  CHECK_FALSE(parses("1200000000aa"));
  CHECK_FALSE(parses("1500000000"));
  CHECK(parses("100000000107aa"));
  CHECK_FALSE(parses("100000000108aa"));
  CHECK_FALSE(parses("13000000020000000000000000"));
  CHECK_FALSE(parses("1400000001000000000000000000"));
  CHECK(parses("1400000001010000000000000000"));
  CHECK_FALSE(parses("1400000001060000000000000000"));
  CHECK_FALSE(parses("0f00000001"));
  CHECK_FALSE(parses("1600000001"));
}

TEST_CASE("the encoder refuses what is beyond a bound, and writes what is at it") {
  auto payload = kj::heapArray<kj::byte>(MUX_MAX_DATA + 1);
  memset(payload.begin(), 0, payload.size());
  CHECK(encodeMuxFrame(MuxData{1, payload.slice(0, MUX_MAX_DATA)}).body.size() == 4 + MUX_MAX_DATA);
  CHECK_THROWS(encodeMuxFrame(MuxData{1, payload}));
  CHECK_THROWS(encodeMuxFrame(MuxData{1, nullptr}));
  auto name = kj::heapArray<char>(MUX_MAX_NAME + 1);
  memset(name.begin(), 'n', name.size());
  CHECK(encodeMuxFrame(MuxOpen{1, 7, name.slice(0, MUX_MAX_NAME)}).body.size() == 5 + MUX_MAX_NAME);
  CHECK_THROWS(encodeMuxFrame(MuxOpen{1, 7, name}));
  CHECK_THROWS(encodeMuxFrame(MuxOpen{1, 7, nullptr}));
  CHECK_THROWS(encodeMuxFrame(MuxOpen{1, 8, name.slice(0, 1)}));
  CHECK_THROWS(encodeMuxFrame(MuxClose{0}));
  CHECK_THROWS(encodeMuxFrame(MuxWindowUpdate{1, 0}));
}

TEST_CASE("a name and a payload beyond the bound still parse, so that the core can name the fault") {
  auto bytes = kj::heapArray<kj::byte>(1 + 4 + MUX_MAX_DATA + 1);
  memset(bytes.begin(), 1, bytes.size());
  bytes[0] = 18;
  CHECK(KJ_ASSERT_NONNULL(parse(bytes)).get<MuxData>().payload.size() == MUX_MAX_DATA + 1);
  bytes[0] = 16;
  CHECK(KJ_ASSERT_NONNULL(parse(bytes)).get<MuxOpen>().name.size() == MUX_MAX_DATA);
}

}  // namespace
}  // namespace nexus
