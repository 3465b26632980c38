#include "libs/oslite-frames/statefs-frames.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/oslite-frames/goldens.h"

namespace nexus::sf {
namespace {

using Bytes = kj::Array<kj::byte>;

constexpr uint64_t NONCE = 0x1122334455667788;
constexpr kj::byte VALUE[] = {0x0a, 0xfe, 0x00};

Bytes changed(kj::ArrayPtr<const kj::byte> frame, size_t at, kj::byte value) {
  auto copy = kj::heapArray<kj::byte>(frame);
  copy[at] = value;
  return copy;
}

Bytes resized(kj::ArrayPtr<const kj::byte> frame, size_t size) {
  auto copy = kj::heapArray<kj::byte>(size);
  memset(copy.begin(), 0, size);
  memcpy(copy.begin(), frame.begin(), kj::min(size, frame.size()));
  return copy;
}

void checkFault(kj::ArrayPtr<const kj::byte> frame, uint8_t replyOp, Status status, Nonce nonce = nullptr) {
  auto decoded = decodeRequest(frame);
  REQUIRE(decoded.is<Fault>());
  auto& fault = decoded.get<Fault>();
  CHECK(int(fault.replyOp) == int(replyOp));
  CHECK(fault.status == status);
  CHECK((fault.nonce == nonce));
}

struct Sample {
  kj::StringPtr name;
  Op op;
  kj::OneOf<Put, Get, Del, List, Sync, Reopen> body;
};

const Sample SAMPLES[] = {
    {"sf-put-request"_kj, Op::PUT, Put{"/state/shared/a"_kj, kj::arrayPtr(VALUE, 3)}},
    {"sf-get-request"_kj, Op::GET, Get{"/state/shared/a"_kj}},
    {"sf-del-request"_kj, Op::DEL, Del{"/state/shared/a"_kj}},
    {"sf-list-request"_kj, Op::LIST, List{"/state/shared/"_kj, 16}},
    {"sf-sync-request"_kj, Op::SYNC, Sync{}},
    {"sf-reopen-request"_kj, Op::REOPEN, Reopen{}},
};

Bytes encoded(Nonce nonce, const Sample& sample) {
  return KJ_ASSERT_NONNULL(tryEncodeRequest(Request{nonce, sample.body}));
}

Bytes sample(const Sample& sample, int version) {
  return golden(kj::str(sample.name, version == 2 ? "-v2" : ""));
}

TEST_CASE("requests of both versions are the golden bytes") {
  for (auto& s : SAMPLES) {
    CAPTURE(s.name.cStr());
    CHECK(encoded(nullptr, s) == sample(s, 1));
    CHECK(encoded(NONCE, s) == sample(s, 2));
  }
}

TEST_CASE("requests of both versions decode to their fields and their nonce") {
  for (auto version : {1, 2}) {
    Nonce nonce;
    if (version == 2) nonce = NONCE;
    for (auto& s : SAMPLES) {
      CAPTURE(s.name.cStr());
      auto frame = sample(s, version);
      auto request = decodeRequest(frame).get<Request>();
      CHECK((request.nonce == nonce));
      CHECK(KJ_ASSERT_NONNULL(tryEncodeRequest(request)) == frame);
    }
    auto frame = sample(SAMPLES[0], version);
    auto put = decodeRequest(frame).get<Request>().body.get<Put>();
    CHECK(put.key == "/state/shared/a"_kj.asArray());
    CHECK(put.value == kj::arrayPtr(VALUE, 3));
    frame = sample(SAMPLES[3], version);
    auto list = decodeRequest(frame).get<Request>().body.get<List>();
    CHECK(list.prefix == "/state/shared/"_kj.asArray());
    CHECK(list.limit == 16);
  }
}

TEST_CASE("replies of both versions are the golden bytes") {
  for (kj::StringPtr suffix : {""_kj, "-v2"_kj}) {
    Nonce nonce;
    if (suffix.size() > 0) nonce = NONCE;
    auto expected = [&](kj::StringPtr name) { return golden(kj::str(name, suffix)); };
    CHECK(encodeStatusReply(Op::PUT, nonce, Status::OK) == expected("sf-put-reply"));
    CHECK(encodeGetReply(nonce, kj::arrayPtr(VALUE, 3)) == expected("sf-get-reply"));
    CHECK(encodeStatusReply(Op::GET, nonce, Status::NOT_FOUND) == expected("sf-get-not-found-reply"));
    CHECK(encodeStatusReply(Op::DEL, nonce, Status::NOT_FOUND) == expected("sf-del-not-found-reply"));
    Key keys[] = {"/state/shared/a"_kj, "/state/shared/bc"_kj};
    CHECK(encodeListReply(nonce, keys, 512) == expected("sf-list-reply"));
    CHECK(encodeStatusReply(Op::SYNC, nonce, Status::OK) == expected("sf-sync-reply"));
  }
  CHECK(encodeFault(decodeRequest("bad"_kj.asBytes()).get<Fault>()) == golden("sf-header-fault-reply"));
}

TEST_CASE("replies decode to their fields and their nonce") {
  auto frame = golden("sf-get-reply-v2");
  auto get = KJ_ASSERT_NONNULL(decodeReply(Op::GET, frame));
  CHECK(KJ_ASSERT_NONNULL(get.nonce) == NONCE);
  CHECK(get.value == kj::arrayPtr(VALUE, 3));
  auto listing = golden("sf-list-reply");
  auto list = KJ_ASSERT_NONNULL(decodeReply(Op::LIST, listing));
  CHECK(list.nonce == nullptr);
  REQUIRE(list.keys.size() == 2);
  CHECK(list.keys[1] == "/state/shared/bc"_kj.asArray());
  auto missing = KJ_ASSERT_NONNULL(decodeReply(Op::GET, golden("sf-get-not-found-reply")));
  CHECK(missing.status == Status::NOT_FOUND);
  CHECK(missing.value.size() == 0);
}

TEST_CASE("a reply to another op gives no value") {
  for (auto op : {Op::PUT, Op::DEL, Op::LIST, Op::SYNC, Op::REOPEN}) {
    CHECK(decodeReply(op, golden("sf-get-reply")) == nullptr);
  }
}

TEST_CASE("bad magic, an unknown version and a frame cut in its head are MALFORMED under op byte 0x80") {
  for (auto& s : SAMPLES) {
    for (auto version : {1, 2}) {
      auto frame = sample(s, version);
      for (size_t size = 0; size < size_t(version == 2 ? 12 : 4); size++) {
        checkFault(frame.slice(0, size), 0x80, Status::MALFORMED);
        CHECK(decodeHead(frame.slice(0, size)) == nullptr);
      }
      for (int unknown : {0, 3, 255}) {
        checkFault(changed(frame, 2, unknown), 0x80, Status::MALFORMED);
        CHECK(decodeHead(changed(frame, 2, unknown)) == nullptr);
      }
      for (size_t i = 0; i < 2; i++) checkFault(changed(frame, i, 'X'), 0x80, Status::MALFORMED);
    }
  }
}

TEST_CASE("the head of a request of version 2 gives its nonce, whatever the op") {
  auto head = KJ_ASSERT_NONNULL(decodeHead(changed(golden("sf-get-request-v2"), 3, 0x55)));
  CHECK(head.op == 0x55);
  CHECK(KJ_ASSERT_NONNULL(head.nonce) == NONCE);
  CHECK(KJ_ASSERT_NONNULL(decodeHead(golden("sf-get-request"))).nonce == nullptr);
}

TEST_CASE("an unknown op is UNSUPPORTED with op and nonce echoed, the transactions too") {
  for (int op = 0; op < 256; op++) {
    if (1 <= op && op <= 6) continue;
    checkFault(changed(golden("sf-put-request"), 3, op), op | 0x80, Status::UNSUPPORTED);
    checkFault(changed(golden("sf-put-request-v2"), 3, op), op | 0x80, Status::UNSUPPORTED, NONCE);
  }
}

TEST_CASE("every wrong size of a request is MALFORMED, a SYNC or REOPEN with a body too") {
  for (auto& s : SAMPLES) {
    CAPTURE(s.name.cStr());
    for (auto version : {1, 2}) {
      Nonce nonce;
      if (version == 2) nonce = NONCE;
      auto frame = sample(s, version);
      for (size_t size = version == 2 ? 12 : 4; size < frame.size() + 4; size++) {
        if (size == frame.size()) continue;
        checkFault(resized(frame, size), frame[3] | 0x80, Status::MALFORMED, nonce);
      }
    }
  }
}

TEST_CASE("an empty key is MALFORMED, one of 256 bytes KEY_TOO_LONG, a larger value VALUE_TOO_LARGE") {
  for (auto& s : SAMPLES) {
    if (s.op > Op::LIST) continue;
    auto frame = sample(s, 1);
    if (s.op != Op::LIST) checkFault(changed(frame, 4, 0), frame[3] | 0x80, Status::MALFORMED);
    checkFault(changed(changed(frame, 4, 0), 5, 1), frame[3] | 0x80, Status::KEY_TOO_LONG);
  }
  auto put = golden("sf-put-request");
  checkFault(changed(put, 8, 1), 0x81, Status::VALUE_TOO_LARGE);  // 65539: before the size of the frame is looked at
}

TEST_CASE("a value of 65536 bytes and a key of 255 pass on both sides, one byte more does not") {
  auto key = kj::str(kj::repeat('k', 255)), longKey = kj::str(kj::repeat('k', 256));
  auto value = kj::heapArray<kj::byte>(MAX_VALUE_BYTES + 1);
  memset(value.begin(), 7, value.size());
  auto largest = value.slice(0, MAX_VALUE_BYTES);
  auto frame = KJ_ASSERT_NONNULL(tryEncodeRequest(Request{NONCE, Put{key, largest}}));
  CHECK(frame.size() <= MAX_REQUEST_BYTES);
  CHECK(decodeRequest(frame).get<Request>().body.get<Put>().value.size() == MAX_VALUE_BYTES);
  CHECK(tryEncodeRequest(Request{nullptr, Put{key, value}}) == nullptr);
  CHECK(tryEncodeRequest(Request{nullptr, Put{longKey, largest}}) == nullptr);
  CHECK(tryEncodeRequest(Request{nullptr, Get{longKey}}) == nullptr);
  CHECK(tryEncodeRequest(Request{nullptr, Del{nullptr}}) == nullptr);
  CHECK(tryEncodeRequest(Request{nullptr, List{longKey, 1}}) == nullptr);
  auto tooLarge = resized(frame, frame.size() + 1);
  tooLarge[14] = 1;  // 65537
  checkFault(tooLarge, 0x81, Status::VALUE_TOO_LARGE, NONCE);
  CHECK(KJ_ASSERT_NONNULL(decodeReply(Op::GET, encodeGetReply(nullptr, largest))).value.size() == MAX_VALUE_BYTES);
  CHECK_THROWS(encodeGetReply(nullptr, value));
}

TEST_CASE("a key that is not UTF-8 is INVALID_KEY") {
  checkFault(changed(golden("sf-put-request"), 12, 0xff), 0x81, Status::INVALID_KEY);
  checkFault(changed(golden("sf-get-request"), 8, 0xff), 0x82, Status::INVALID_KEY);
  checkFault(changed(golden("sf-list-request"), 10, 0xff), 0x84, Status::INVALID_KEY);
}

TEST_CASE("a LIST limit of 0 is read as 1, one above 256 as 256") {
  auto frame = golden("sf-list-request");
  auto limit = [](const Bytes& f) { return decodeRequest(f).get<Request>().body.get<List>().limit; };
  CHECK(limit(changed(frame, 6, 0)) == 1);
  CHECK(limit(changed(changed(frame, 6, 0), 7, 1)) == 256);
  CHECK(limit(changed(frame, 7, 1)) == 256);
  CHECK(limit(changed(frame, 7, 0xff)) == 256);
}

TEST_CASE("a LIST reply drops whole keys from the end until it fits") {
  Key keys[] = {"/state/shared/a"_kj, "/state/shared/bc"_kj};
  for (size_t bytes = 7; bytes < 80; bytes++) {
    auto frame = encodeListReply(nullptr, keys, bytes);
    CHECK(frame.size() <= bytes);
    CHECK(KJ_ASSERT_NONNULL(decodeReply(Op::LIST, frame)).keys.size() == (bytes < 24 ? 0 : bytes < 42 ? 1 : 2));
  }
  CHECK_THROWS(encodeListReply(nullptr, keys, 6));
  CHECK_THROWS(encodeListReply(NONCE, keys, 14));
}

TEST_CASE("a reply that is cut, extended, changed in its header or of unknown status gives no value") {
  struct {
    kj::StringPtr name;
    Op op;
  } replies[] = {{"sf-put-reply"_kj, Op::PUT},           {"sf-get-reply"_kj, Op::GET},
                 {"sf-del-not-found-reply"_kj, Op::DEL}, {"sf-list-reply"_kj, Op::LIST},
                 {"sf-sync-reply"_kj, Op::SYNC},         {"sf-put-reply-v2"_kj, Op::PUT},
                 {"sf-get-reply-v2"_kj, Op::GET},        {"sf-list-reply-v2"_kj, Op::LIST}};
  for (auto& r : replies) {
    CAPTURE(r.name.cStr());
    auto frame = golden(r.name);
    for (size_t size = 0; size < frame.size() + 3; size++) {
      CHECK((decodeReply(r.op, resized(frame, size)) != nullptr) == (size == frame.size()));
    }
    for (size_t i = 0; i < 4; i++) {
      for (int bit = 0; bit < 8; bit++) {
        if (i == 2 && (frame[2] ^ 1 << bit) == 2) continue;  // the other version, of another length
        CHECK(decodeReply(r.op, changed(frame, i, frame[i] ^ 1 << bit)) == nullptr);
      }
    }
    for (int status = 11; status < 256; status++) CHECK(decodeReply(r.op, changed(frame, 4, status)) == nullptr);
  }
}

TEST_CASE("a refused GET or LIST has nothing, or a length of 0, behind its status") {
  for (auto op : {Op::GET, Op::LIST}) {
    auto reply = encodeStatusReply(op, NONCE, Status::IO_ERROR);
    CHECK(KJ_ASSERT_NONNULL(decodeReply(op, reply)).status == Status::IO_ERROR);
    CHECK(decodeReply(op, reply.slice(0, 13)) != nullptr);
    CHECK(decodeReply(op, changed(reply, 13, 1)) == nullptr);
    CHECK_THROWS(encodeStatusReply(op, NONCE, Status::OK));
  }
  CHECK(decodeReply(Op::GET, changed(golden("sf-get-reply"), 4, 1)) == nullptr);
}

TEST_CASE("a reply correlates with the request of its version and its nonce alone") {
  auto v1 = KJ_ASSERT_NONNULL(decodeReply(Op::PUT, golden("sf-put-reply")));
  auto v2 = KJ_ASSERT_NONNULL(decodeReply(Op::PUT, golden("sf-put-reply-v2")));
  CHECK(correlates(nullptr, v1));
  CHECK(correlates(NONCE, v2));
  CHECK_FALSE(correlates(NONCE + 1, v2));
  CHECK_FALSE(correlates(NONCE, v1));
  CHECK_FALSE(correlates(nullptr, v2));
  CHECK_FALSE(answers(NONCE, v1));
  CHECK_FALSE(answers(nullptr, v2));
}

TEST_CASE("a refusal of version 1 answers a request of version 2, an OK does not") {
  auto refused = KJ_ASSERT_NONNULL(decodeReply(Op::PUT, golden("sf-gate-outside-acl-reply")));
  CHECK(answers(NONCE, refused));
  CHECK_FALSE(correlates(NONCE, refused));
}

}  // namespace
}  // namespace nexus::sf
