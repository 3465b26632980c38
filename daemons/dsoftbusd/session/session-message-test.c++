#include "daemons/dsoftbusd/session/session-message.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/vector.h>

namespace nexus {
namespace {

kj::Array<kj::byte> hex(kj::StringPtr text) {
  return kj::decodeHex(text);
}
// The first byte stands for the record's type, the rest is the body.
kj::Maybe<SessionMessage> parse(kj::ArrayPtr<const kj::byte> bytes) {
  return tryParseSessionMessage(bytes[0], bytes.slice(1, bytes.size()));
}
kj::Array<kj::byte> encode(const SessionMessage& message) {
  auto encoded = encodeSessionMessage(message);
  kj::Vector<kj::byte> bytes;
  bytes.add(encoded.type);
  bytes.addAll(encoded.body);
  return bytes.releaseAsArray();
}
kj::ArrayPtr<const kj::byte> bytesOf(kj::StringPtr text) {
  return text.asBytes();
}
bool same(kj::ArrayPtr<const kj::byte> a, kj::ArrayPtr<const kj::byte> b) {
  return a == b;
}

// Golden bytes, written by hand from the table in the header.
const auto PING_HEX =
    "01"
    "0000000000000102"
    "5049"_kj;
const auto PONG_HEX =
    "02"
    "0000000000000102"
    "5049"_kj;
const auto REQUEST_HEX =
    "03"
    "00000000000000ff"
    "06"
    "73616d677264"
    "534d010601"
    "61"_kj;
const auto RESPONSE_HEX =
    "04"
    "00000000000000ff"
    "01"
    "1122334455667788"
    "424e"_kj;
const auto CLOSE_HEX =
    "05"
    "02"
    "0000000000000009"_kj;

TEST_CASE("the golden bytes of each message parse to its fields and are what the encoder writes") {
  {
    auto bytes = hex(PING_HEX);
    auto message = KJ_ASSERT_NONNULL(parse(bytes));
    auto& ping = message.get<PingMessage>();
    CHECK(ping.id == 0x102);
    CHECK(same(ping.payload, bytesOf("PI")));
    CHECK(encode(message) == bytes);
  }
  {
    auto bytes = hex(PONG_HEX);
    auto message = KJ_ASSERT_NONNULL(parse(bytes));
    CHECK(message.get<PongMessage>().id == 0x102);
    CHECK(encode(message) == bytes);
  }
  {
    auto bytes = hex(REQUEST_HEX);
    auto message = KJ_ASSERT_NONNULL(parse(bytes));
    auto& request = message.get<RequestMessage>();
    CHECK(request.id == 0xff);
    CHECK(kj::heapString(request.service) == "samgrd");
    CHECK(same(request.frame, hex("534d01060161")));
    CHECK(encode(message) == bytes);
  }
  {
    auto bytes = hex(RESPONSE_HEX);
    auto message = KJ_ASSERT_NONNULL(parse(bytes));
    auto& response = message.get<ResponseMessage>();
    CHECK(response.status == CallStatus::DENIED);
    CHECK(response.auditId == 0x1122334455667788);
    CHECK(same(response.reply, hex("424e")));
    CHECK(encode(message) == bytes);
  }
  {
    auto bytes = hex(CLOSE_HEX);
    auto message = KJ_ASSERT_NONNULL(parse(bytes));
    auto& close = message.get<CloseMessage>();
    CHECK(close.reason == CloseReason::UNAUTHENTICATED);
    CHECK(close.auditId == 9);
    CHECK(encode(message) == bytes);
  }
}

TEST_CASE("a message cut short anywhere in its fixed part is refused") {
  auto cutShort = [](kj::StringPtr text, size_t fixedPart) {
    auto bytes = hex(text);
    for (size_t n = 1; n < fixedPart; n++) {
      CAPTURE(n);
      CHECK(parse(bytes.slice(0, n)) == nullptr);
    }
    CHECK(parse(bytes.slice(0, fixedPart)) != nullptr);
  };
  cutShort(PING_HEX, 9);
  cutShort(PONG_HEX, 9);
  cutShort(REQUEST_HEX, 16);
  cutShort(RESPONSE_HEX, 18);
  cutShort(CLOSE_HEX, 10);
}

TEST_CASE("an unknown kind, status or close reason and a byte after a close are refused") {
  CHECK(parse(hex("000000000000000000")) == nullptr);
  CHECK(parse(hex("060000000000000000")) == nullptr);
  CHECK(parse(hex("0400000000000000ff090000000000000001")) == nullptr);
  CHECK(parse(hex("05000000000000000001")) == nullptr);
  CHECK(parse(hex("05060000000000000001")) == nullptr);
  CHECK(parse(hex("0502000000000000000900")) == nullptr);
}

TEST_CASE("a service name is 1 to 64 bytes") {
  CHECK(parse(hex("03000000000000000100")) == nullptr);
  auto named = [](size_t n) {
    auto bytes = kj::heapArray<kj::byte>(10 + 70);
    memset(bytes.begin(), 'x', bytes.size());
    bytes[0] = 3;
    bytes[9] = static_cast<kj::byte>(n);
    return bytes;
  };
  CHECK(parse(named(64)) != nullptr);
  CHECK(parse(named(65)) == nullptr);
}

TEST_CASE("payload bounds hold at the bound and one beyond") {
  auto sized = [](kj::byte kind, size_t header, size_t payload) {
    auto bytes = kj::heapArray<kj::byte>(header + payload);
    memset(bytes.begin(), 0, bytes.size());
    bytes[0] = kind;
    return bytes;
  };
  CHECK(parse(sized(1, 9, 256)) != nullptr);
  CHECK(parse(sized(1, 9, 257)) == nullptr);
  CHECK(parse(sized(4, 18, 512)) != nullptr);
  CHECK(parse(sized(4, 18, 513)) == nullptr);
  auto big = kj::heapArray<kj::byte>(513);
  CHECK_THROWS(encode(ResponseMessage{1, CallStatus::OK, 1, big}));
  CHECK_THROWS(encode(PingMessage{1, big}));
  CHECK_THROWS(encode(ResponseMessage{1, CallStatus::CANCELLED, 1, nullptr}));
}

TEST_CASE("a request frame that is too long still parses, so that it can be refused with a status") {
  auto frame = kj::heapArray<kj::byte>(60000);
  auto bytes = encode(RequestMessage{7, "samgrd"_kj.asArray(), frame});
  auto message = KJ_ASSERT_NONNULL(parse(bytes));
  CHECK(message.get<RequestMessage>().frame.size() == 60000);
}

}  // namespace
}  // namespace nexus
