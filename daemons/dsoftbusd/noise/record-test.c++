#include "daemons/dsoftbusd/noise/record.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/vector.h>

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;
constexpr kj::TimePoint START = kj::origin<kj::TimePoint>();

NoiseCipher cipher(uint64_t nonce = 0) {
  SecretBytes key(32);
  for (size_t i = 0; i < key.size(); i++) key.expose()[i] = 0x81 + i;
  return NoiseCipher(kj::mv(key), nonce);
}

struct Channel {
  RecordSender sender;
  RecordReceiver receiver;

  explicit Channel(const RecordLimits& limits = {}, uint64_t nonce = 0)
      : sender(cipher(nonce), START, limits), receiver(cipher(nonce), limits) {}

  Bytes seal(uint8_t type, kj::StringPtr body, kj::Duration since = 0 * kj::SECONDS) {
    return KJ_REQUIRE_NONNULL(sender.trySeal(type, body.asBytes(), START + since));
  }

  void expectRecord(uint8_t type, kj::StringPtr body) {
    auto next = receiver.next();
    REQUIRE(next != nullptr);
    auto& result = KJ_ASSERT_NONNULL(next);
    REQUIRE(result.is<Record>());
    CHECK(result.get<Record>().type == type);
    CHECK(result.get<Record>().body == body.asBytes());
  }

  void expectNothing() { CHECK(receiver.next() == nullptr); }

  // The fault, and that it is for good.
  void expectPoisoned(RecordError error) {
    auto next = receiver.next();
    REQUIRE(next != nullptr);
    REQUIRE(KJ_ASSERT_NONNULL(next).is<RecordError>());
    CHECK(KJ_ASSERT_NONNULL(next).get<RecordError>() == error);
    CHECK(receiver.isPoisoned());
    receiver.feed(seal(1, "good"));
    CHECK(KJ_ASSERT_NONNULL(receiver.next()).get<RecordError>() == RecordError::POISONED);
    CHECK(receiver.pendingBytes() == 0);
  }
};

kj::Array<kj::byte> header(uint32_t length) {
  auto bytes = kj::heapArray<kj::byte>(4);
  for (int i = 0; i < 4; i++) bytes[i] = length >> (24 - 8 * i);
  return bytes;
}

TEST_CASE("the records are the golden bytes, the renewed key included") {
  Channel c({.maxRecords = 3});
  auto first = c.seal(1, "ab"), second = c.seal(7, ""), third = c.seal(1, "c");
  CHECK(kj::encodeHex(first) == "000000132cfeaea3ac8750eb6da077d536e28a5484c840");
  CHECK(kj::encodeHex(second) == "00000011cc73013b86d1377f786447e9efdbdb4f5a");
  CHECK(kj::encodeHex(third) ==
        "00000011725f894a9a74b670055aa3186696c339b100000012ea841f35f93eb5c02b6607c82b0355727455");
  c.receiver.feed(first);
  c.receiver.feed(second);
  c.receiver.feed(third);
  c.expectRecord(1, "ab");
  c.expectRecord(7, "");
  c.expectRecord(1, "c");
  c.expectNothing();
}

TEST_CASE("records arrive however the stream is cut") {
  Channel c;
  auto first = c.seal(1, "hello"), second = c.seal(2, "world");
  for (kj::byte b : first) {
    c.expectNothing();
    c.receiver.feed(kj::arrayPtr(&b, 1));
  }
  c.expectRecord(1, "hello");
  kj::Vector<kj::byte> rest;
  rest.addAll(second);
  rest.addAll(c.seal(3, "again"));
  c.receiver.feed(rest.asPtr().slice(0, 7));
  c.expectNothing();
  c.receiver.feed(rest.asPtr().slice(7, rest.size()));
  c.expectRecord(2, "world");
  c.expectRecord(3, "again");
  c.expectNothing();
}

TEST_CASE("a truncated record stays pending and is never delivered") {
  Channel c;
  auto record = c.seal(1, "hello");
  for (size_t cut = 0; cut < record.size(); cut++) {
    RecordReceiver receiver(cipher());
    receiver.feed(record.slice(0, cut));
    CHECK(receiver.next() == nullptr);
    CHECK(receiver.pendingBytes() == cut);
  }
}

TEST_CASE("the largest body passes, and one byte more is refused by the sender") {
  Channel c;
  auto body = kj::heapArray<kj::byte>(RECORD_MAX_BODY);
  memset(body.begin(), 3, body.size());
  auto record = KJ_ASSERT_NONNULL(c.sender.trySeal(1, body, START));
  CHECK(record.size() == RECORD_HEADER_BYTES + RECORD_MAX_CIPHERTEXT);
  c.receiver.feed(record);
  CHECK(KJ_ASSERT_NONNULL(c.receiver.next()).get<Record>().body == body);
  CHECK_THROWS(c.sender.trySeal(1, kj::heapArray<kj::byte>(RECORD_MAX_BODY + 1), START));
}

TEST_CASE("a length outside 17 to 65535 poisons before a byte of it is waited for") {
  for (uint32_t length : {0u, 1u, 16u, 65536u, 0x01000000u, 0x80000000u, 0xffffffffu}) {
    CAPTURE(length);
    Channel c;
    c.receiver.feed(header(length));
    c.expectPoisoned(RecordError::BAD_LENGTH);
  }
}

TEST_CASE("a length at either bound is waited for") {
  for (uint32_t length : {17u, 65535u}) {
    Channel c;
    c.receiver.feed(header(length));
    c.expectNothing();
  }
}

TEST_CASE("every flipped bit of a record poisons the channel") {
  auto size = Channel().seal(1, "hello").size();
  for (size_t bit = RECORD_HEADER_BYTES * 8; bit < size * 8; bit++) {
    CAPTURE(bit);
    Channel c;
    auto record = c.seal(1, "hello");
    record[bit / 8] ^= 1 << bit % 8;
    c.receiver.feed(record);
    c.expectPoisoned(RecordError::CRYPTO);
  }
}

TEST_CASE("a flipped bit of the length never yields a record") {
  for (size_t bit = 0; bit < RECORD_HEADER_BYTES * 8; bit++) {
    CAPTURE(bit);
    Channel c;
    auto record = c.seal(1, "hello");
    record[bit / 8] ^= 1 << bit % 8;
    c.receiver.feed(record);
    auto next = c.receiver.next();  // a longer length waits for bytes that never come
    KJ_IF_MAYBE (n, next) CHECK(n->is<RecordError>());
  }
}

TEST_CASE("a replayed record poisons the channel") {
  Channel c;
  auto record = c.seal(1, "once");
  c.receiver.feed(record);
  c.expectRecord(1, "once");
  c.receiver.feed(record);
  c.expectPoisoned(RecordError::CRYPTO);
}

TEST_CASE("reordered records poison the channel") {
  Channel c;
  auto first = c.seal(1, "first"), second = c.seal(1, "second");
  c.receiver.feed(second);
  c.receiver.feed(first);
  c.expectPoisoned(RecordError::CRYPTO);
}

TEST_CASE("a record left out poisons the channel") {
  Channel c;
  c.seal(1, "lost");
  c.receiver.feed(c.seal(1, "next"));
  c.expectPoisoned(RecordError::CRYPTO);
}

TEST_CASE("a record of the other direction is not accepted") {
  SecretBytes other(32);
  RecordSender sender(NoiseCipher(kj::mv(other)), START);
  Channel c;
  c.receiver.feed(KJ_ASSERT_NONNULL(sender.trySeal(1, nullptr, START)));
  c.expectPoisoned(RecordError::CRYPTO);
}

TEST_CASE("keys are renewed by count, unseen by the reader of records") {
  Channel c({.maxRecords = 4});
  for (int i = 0; i < 20; i++) {
    c.receiver.feed(c.seal(1, "x"));
    c.expectRecord(1, "x");
    c.expectNothing();
  }
  CHECK(c.sender.rekeyCount() == 6);
  CHECK(c.receiver.rekeyCount() == 6);
  CHECK(c.receiver.recordCount() == 26);
}

TEST_CASE("keys are renewed by age") {
  Channel c({.maxAge = 10 * kj::SECONDS});
  auto age = [&](kj::Duration since) {
    c.receiver.feed(c.seal(1, "x", since));
    c.expectRecord(1, "x");
    return c.receiver.rekeyCount();
  };
  CHECK(age(9999 * kj::MILLISECONDS) == 0);
  CHECK(age(10 * kj::SECONDS) == 1);
  CHECK(age(19 * kj::SECONDS) == 1);
  CHECK(age(20 * kj::SECONDS) == 2);
}

TEST_CASE("a sender that does not renew its key in time is cut off") {
  Channel c({.maxRecords = 3});
  RecordSender lazy(cipher(), START, {.maxRecords = 1000});
  for (int i = 0; i < 2; i++) {
    c.receiver.feed(KJ_ASSERT_NONNULL(lazy.trySeal(1, nullptr, START)));
    c.expectRecord(1, "");
  }
  c.receiver.feed(KJ_ASSERT_NONNULL(lazy.trySeal(1, nullptr, START)));
  c.expectPoisoned(RecordError::REKEY_OVERDUE);
}

TEST_CASE("a rekey record with a body poisons the channel") {
  auto raw = cipher();
  kj::byte plaintext[] = {RECORD_TYPE_REKEY, 1};
  auto sealed = KJ_ASSERT_NONNULL(raw.tryEncrypt(nullptr, kj::arrayPtr(plaintext, 2)));
  Channel c;
  c.receiver.feed(header(sealed.size()));
  c.receiver.feed(sealed);
  c.expectPoisoned(RecordError::BAD_REKEY);
}

TEST_CASE("at the end of the counter nothing is sealed and nothing is read") {
  Channel c({}, NoiseCipher::RESERVED_NONCE - 2);
  c.receiver.feed(c.seal(1, "second to last"));
  c.receiver.feed(c.seal(1, "last"));
  c.expectRecord(1, "second to last");
  c.expectRecord(1, "last");
  CHECK(c.sender.trySeal(1, nullptr, START) == nullptr);
  c.receiver.feed(header(17));
  c.receiver.feed(kj::heapArray<kj::byte>(17));
  auto next = c.receiver.next();
  CHECK(KJ_ASSERT_NONNULL(next).get<RecordError>() == RecordError::CRYPTO);
}

TEST_CASE("a counter that ends at the rekey record seals nothing either") {
  RecordSender sender(cipher(NoiseCipher::RESERVED_NONCE - 1), START, {.maxRecords = 2});
  CHECK(sender.trySeal(1, nullptr, START) != nullptr);
  CHECK(sender.trySeal(1, nullptr, START) == nullptr);
}

TEST_CASE("the type of the record layer is not for callers") {
  Channel c;
  CHECK_THROWS(c.sender.trySeal(RECORD_TYPE_REKEY, nullptr, START));
}

TEST_CASE("the space for arriving bytes is small until much arrives, and small again afterwards") {
  Channel c;
  size_t delivered = 0;
  // As a stream would: fills the space, then takes out what is whole.
  auto pass = [&](kj::ArrayPtr<const kj::byte> bytes) {
    while (bytes.size() > 0) {
      auto space = c.receiver.space();
      REQUIRE(space.size() > 0);
      REQUIRE(c.receiver.capacity() <= RecordReceiver::RECEIVE_LARGE);
      size_t n = kj::min(space.size(), bytes.size());
      memcpy(space.begin(), bytes.begin(), n);
      c.receiver.received(n);
      bytes = bytes.slice(n, bytes.size());
      for (auto next = c.receiver.next(); next != nullptr; next = c.receiver.next()) {
        REQUIRE(KJ_ASSERT_NONNULL(next).is<Record>());
        delivered++;
      }
    }
  };
  for (int i = 0; i < 10; i++) pass(c.seal(1, "small"));
  CHECK(delivered == 10);
  CHECK(c.receiver.capacity() == RecordReceiver::RECEIVE_SMALL);
  auto large = kj::heapArray<char>(RECORD_MAX_BODY + 1);
  memset(large.begin(), 'x', large.size());
  large[RECORD_MAX_BODY] = 0;
  for (int i = 0; i < 10; i++) pass(c.seal(1, kj::StringPtr(large.begin(), RECORD_MAX_BODY)));
  CHECK(delivered == 20);
  CHECK(c.receiver.capacity() == RecordReceiver::RECEIVE_LARGE);
  for (int i = 0; i < 3; i++) pass(c.seal(1, "small"));
  CHECK(delivered == 23);
  CHECK(c.receiver.capacity() == RecordReceiver::RECEIVE_SMALL);
}

TEST_CASE("a large record is decrypted to where its head says it belongs, and where else if it says nothing") {
  Channel c;
  auto body = kj::heapArray<char>(40001);
  for (size_t i = 0; i < body.size(); i++) body[i] = i % 251;
  body.back() = 0;
  kj::StringPtr text(body.begin(), body.size() - 1);
  auto place = kj::heapArray<kj::byte>(text.size() - 4);
  bool wanted = true;
  size_t asked = 0;
  c.receiver.placeWith(4, [&](uint8_t type, kj::ArrayPtr<const kj::byte> head, size_t following) {
    asked++;
    CHECK(type == 18);
    CHECK((head == text.slice(0, 4).asBytes()));
    CHECK(following == text.size() - 4);
    return wanted ? place.asPtr() : nullptr;
  });
  auto next = [&] {
    auto received = c.receiver.next();
    return kj::mv(KJ_ASSERT_NONNULL(received).get<Record>());
  };
  c.receiver.feed(c.seal(18, text));
  auto placed = next();
  CHECK(placed.placed);
  CHECK(placed.body.begin() == place.begin());
  CHECK((place.asPtr() == text.slice(4).asBytes()));
  wanted = false;
  c.receiver.feed(c.seal(18, text));
  auto kept = next();
  CHECK_FALSE(kept.placed);
  CHECK(kept.body == text.asBytes());
  c.receiver.feed(c.seal(18, "small"));
  CHECK(next().body == "small"_kj.asBytes());
  CHECK(asked == 2);  // not about the small one
  // Nor about what is not authentic, or too many under one key.
  auto changed = c.seal(18, text);
  changed[20000] ^= 1;
  c.receiver.feed(changed);
  c.expectPoisoned(RecordError::CRYPTO);
  CHECK(asked == 2);
}

TEST_CASE("the memory of a large record is the caller's, a small one lies in the receiver's") {
  Channel c;
  auto body = kj::heapString(RecordReceiver::OWN_MEMORY);
  memset(body.begin(), 'x', body.size());
  c.receiver.feed(c.seal(18, body));
  auto large = KJ_ASSERT_NONNULL(c.receiver.next()).get<Record>().memory.size();
  CHECK(large == body.size());
  c.receiver.feed(c.seal(18, "small"));
  CHECK(KJ_ASSERT_NONNULL(c.receiver.next()).get<Record>().memory.size() == 0);
}

TEST_CASE("a body in two pieces is the body in one") {
  Channel one, two;
  CHECK(one.seal(18, "headrest") ==
        KJ_ASSERT_NONNULL(two.sender.trySeal(18, "head"_kj.asBytes(), "rest"_kj.asBytes(), START)));
  auto head = kj::heapArray<kj::byte>(RECORD_MAX_HEAD + 1), rest = kj::heapArray<kj::byte>(5000);
  memset(head.begin(), 'h', head.size());
  memset(rest.begin(), 'r', rest.size());
  for (size_t split : {size_t(0), size_t(4), RECORD_MAX_HEAD}) {
    auto body = kj::heapArray<char>(split + rest.size() + 1);
    memset(body.begin(), 'r', body.size());
    memset(body.begin(), 'h', split);
    body.back() = 0;
    CHECK(one.seal(18, kj::StringPtr(body.begin(), body.size() - 1)) ==
          KJ_ASSERT_NONNULL(two.sender.trySeal(18, head.slice(0, split), rest, START)));
  }
  CHECK_THROWS(two.sender.trySeal(18, head, rest, START));
}

}  // namespace
}  // namespace nexus
