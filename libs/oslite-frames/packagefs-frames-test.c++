#include "libs/oslite-frames/packagefs-frames.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/oslite-frames/goldens.h"

namespace nexus::pk {
namespace {

using Bytes = kj::Array<kj::byte>;

constexpr auto REQUESTS = {"pk-stat-request", "pk-open-request", "pk-read-request", "pk-close-request"};

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

void checkFault(kj::ArrayPtr<const kj::byte> frame, uint8_t replyOp, Status status, bool authenticated = true) {
  auto request = decodeRequest(authenticated, frame);
  REQUIRE(request.is<Fault>());
  CHECK(int(request.get<Fault>().replyOp) == int(replyOp));
  CHECK(request.get<Fault>().status == status);
}

void checkPathFault(kj::ArrayPtr<const char> path, Status status) {
  auto checked = checkPath(path);
  REQUIRE(checked.is<Status>());
  CHECK(checked.get<Status>() == status);
}

kj::String pathOf(size_t bytes) {
  return kj::str("pkg:/", kj::repeat('x', bytes - 5));
}

TEST_CASE("stat, open, read and close are the golden bytes, and they decode to their fields") {
  CHECK(KJ_ASSERT_NONNULL(tryEncodeStat("pkg:/system/1.0.0/build.prop"_kj)) == golden("pk-stat-request"));
  CHECK(KJ_ASSERT_NONNULL(tryEncodeOpen("/packages/system/1.0.0/build.prop"_kj)) == golden("pk-open-request"));
  CHECK(KJ_ASSERT_NONNULL(tryEncodeRead(0x01020304, 0x0a0b0c0d, 128)) == golden("pk-read-request"));
  CHECK(encodeClose(0x01020304) == golden("pk-close-request"));

  auto bytes = golden("pk-stat-request");
  auto path = decodeRequest(true, bytes).get<Stat>().path;
  CHECK(path.whole == "pkg:/system/1.0.0/build.prop"_kj.asArray());
  CHECK(path.relative == "system/1.0.0/build.prop"_kj.asArray());
  bytes = golden("pk-open-request");
  CHECK(decodeRequest(true, bytes).get<Open>().path.relative == "system/1.0.0/build.prop"_kj.asArray());
  auto read = decodeRequest(true, golden("pk-read-request")).get<Read>();
  CHECK(read.handle == 0x01020304);
  CHECK(read.offset == 0x0a0b0c0d);
  CHECK(read.length == 128);
  CHECK(decodeRequest(true, golden("pk-close-request")).get<Close>().handle == 0x01020304);
}

TEST_CASE("replies are the golden bytes, and they decode") {
  CHECK(encodeStatReply(0x0102030405060708, 0x0201) == golden("pk-stat-reply"));
  CHECK(encodeOpenReply(0x01020304) == golden("pk-open-reply"));
  kj::byte data[] = {0x0a, 0xfe, 0x00};
  CHECK(encodeReadReply(data) == golden("pk-read-reply"));
  CHECK(encodeStatus(Op::CLOSE, Status::OK) == golden("pk-close-reply"));
  CHECK(encodeStatus(Op::STAT, Status::PATH_TRAVERSAL) == golden("pk-stat-traversal-reply"));
  CHECK(encodeFault(decodeRequest(true, "bad"_kj.asBytes()).get<Fault>()) == golden("pk-header-fault-reply"));

  auto stat = KJ_ASSERT_NONNULL(decodeStatReply(golden("pk-stat-reply")));
  CHECK(stat.size == 0x0102030405060708);
  CHECK(stat.kind == 0x0201);
  CHECK(KJ_ASSERT_NONNULL(decodeOpenReply(golden("pk-open-reply"))).handle == 0x01020304);
  auto bytes = golden("pk-read-reply");
  CHECK(KJ_ASSERT_NONNULL(decodeReadReply(bytes)).data == kj::arrayPtr(data, 3));
  CHECK(KJ_ASSERT_NONNULL(decodeCloseReply(golden("pk-close-reply"))) == Status::OK);
}

TEST_CASE("the ten statuses have the numbers of the contract, and no other is one") {
  Status all[] = {Status::OK,
                  Status::BAD_REQUEST,
                  Status::UNAUTHENTICATED,
                  Status::PATH_TRAVERSAL,
                  Status::NON_PACKAGEFS_SCHEME,
                  Status::NOT_FOUND,
                  Status::BADF,
                  Status::OVERSIZED,
                  Status::LIMIT,
                  Status::IO};
  for (int i = 0; i < 10; i++) {
    auto reply = changed(golden("pk-close-reply"), 4, i);
    CHECK(KJ_ASSERT_NONNULL(decodeCloseReply(reply)) == all[i]);
    CHECK(encodeStatus(Op::CLOSE, all[i]) == reply);
  }
  for (int i = 10; i < 256; i++) CHECK(decodeCloseReply(changed(golden("pk-close-reply"), 4, i)) == nullptr);
}

TEST_CASE("a request of a stranger is UNAUTHENTICATED, whatever else is wrong with it") {
  for (auto name : REQUESTS) {
    auto frame = golden(name);
    checkFault(frame, frame[3] | 0x80, Status::UNAUTHENTICATED, false);
    checkFault(changed(frame, 3, 0x42), 0xc2, Status::UNAUTHENTICATED, false);
    checkFault(changed(frame, 0, 'X'), 0x80, Status::UNAUTHENTICATED, false);
  }
  checkFault(nullptr, 0x80, Status::UNAUTHENTICATED, false);
}

TEST_CASE("a header that cannot be read is BAD_REQUEST under op byte 0x80, an unknown op is echoed") {
  for (auto name : REQUESTS) {
    auto frame = golden(name);
    for (size_t size = 0; size < 4; size++) checkFault(frame.slice(0, size), 0x80, Status::BAD_REQUEST);
    for (size_t i = 0; i < 3; i++) {
      for (int bit = 0; bit < 8; bit++) {
        checkFault(changed(frame, i, frame[i] ^ 1 << bit), 0x80, Status::BAD_REQUEST);
      }
    }
    for (int op = 0; op < 256; op++) {
      if (op < 1 || op > 4) checkFault(changed(frame, 3, op), op | 0x80, Status::BAD_REQUEST);
    }
  }
}

TEST_CASE("every wrong size of a request is BAD_REQUEST with the op echoed") {
  for (auto name : REQUESTS) {
    CAPTURE(name);
    auto frame = golden(name);
    for (size_t size = 4; size < frame.size() + 4; size++) {
      CAPTURE(size);
      if (size != frame.size()) checkFault(resized(frame, size), frame[3] | 0x80, Status::BAD_REQUEST);
    }
  }
}

TEST_CASE("the length of a path is judged before the size of the frame, and both before the path") {
  auto frame = golden("pk-stat-request");
  checkFault(changed(frame, 4, 0), 0x81, Status::OVERSIZED);
  checkFault(changed(frame, 4, 193), 0x81, Status::OVERSIZED);
  checkFault(changed(frame, 5, 1), 0x81, Status::OVERSIZED);
  for (int length = 1; length <= 192; length++) {
    if (length != frame[4]) checkFault(changed(frame, 4, length), 0x81, Status::BAD_REQUEST);
  }
  checkFault(resized(changed(frame, 6, 0xff), frame.size() - 1), 0x81, Status::BAD_REQUEST);
  checkFault(changed(frame, 6, 0xff), 0x81, Status::BAD_REQUEST);  // not UTF-8
}

TEST_CASE("a path of 192 bytes passes, one of 193 is OVERSIZED on both sides") {
  auto longest = pathOf(192), tooLong = pathOf(193);
  CHECK(decodeRequest(true, KJ_ASSERT_NONNULL(tryEncodeOpen(longest))).is<Open>());
  CHECK(tryEncodeOpen(tooLong) == nullptr);
  CHECK(tryEncodeStat(nullptr) == nullptr);
  checkPathFault(tooLong, Status::OVERSIZED);
  auto frame = resized(KJ_ASSERT_NONNULL(tryEncodeOpen(longest)), 6 + 193);
  frame[4] = 193;
  checkFault(frame, 0x82, Status::OVERSIZED);
}

TEST_CASE("a path of another scheme is NON_PACKAGEFS_SCHEME, before its segments are looked at") {
  for (auto path : {"x"_kj, "/"_kj, "pkg:"_kj, "pkg"_kj, "PKG:/a"_kj, "file:/a"_kj, "/package/a"_kj, "/packages"_kj,
                    "packages/a"_kj, "/etc/../packages/a"_kj, " pkg:/a"_kj, "../pkg:/a"_kj}) {
    CAPTURE(path.cStr());
    checkPathFault(path, Status::NON_PACKAGEFS_SCHEME);
  }
}

TEST_CASE("a prefix with nothing behind it, and an empty path, are OVERSIZED") {
  for (auto path : {""_kj, "pkg:/"_kj, "/packages/"_kj}) checkPathFault(path, Status::OVERSIZED);
}

TEST_CASE("a segment that is empty, a dot, two dots, or holds a backslash or NUL is PATH_TRAVERSAL, wherever it is") {
  kj::StringPtr bad[] = {""_kj, "."_kj, ".."_kj, "a\\b"_kj, "\\"_kj, kj::StringPtr("\0", 1), kj::StringPtr("a\0b", 3)};
  for (auto prefix : {"pkg:/"_kj, "/packages/"_kj}) {
    for (auto segment : bad) {
      CAPTURE(segment.cStr());
      if (segment.size() > 0) checkPathFault(kj::str(prefix, segment).asArray(), Status::PATH_TRAVERSAL);
      checkPathFault(kj::str(prefix, segment, "/b").asArray(), Status::PATH_TRAVERSAL);
      checkPathFault(kj::str(prefix, "a/", segment, "/b").asArray(), Status::PATH_TRAVERSAL);
      checkPathFault(kj::str(prefix, "a/", segment).asArray(), Status::PATH_TRAVERSAL);
    }
  }
}

TEST_CASE("dots inside of a segment are no traversal") {
  for (auto path : {"pkg:/..."_kj, "pkg:/.a"_kj, "pkg:/a."_kj, "pkg:/a..b/c"_kj, "/packages/..a"_kj}) {
    CAPTURE(path.cStr());
    CHECK(checkPath(path).is<Path>());
  }
}

TEST_CASE("a path that is not UTF-8 is BAD_REQUEST, before its scheme is looked at") {
  checkPathFault("pkg:/\xff"_kj, Status::BAD_REQUEST);
  checkPathFault("\xc0\xaf"_kj, Status::BAD_REQUEST);
  checkPathFault("pkg:/../\xed\xa0\x80"_kj, Status::BAD_REQUEST);
}

TEST_CASE("a read is 1 to 128 bytes on both sides") {
  CHECK(tryEncodeRead(1, 0, 0) == nullptr);
  CHECK(tryEncodeRead(1, 0, 129) == nullptr);
  CHECK(tryEncodeRead(1, 0, 1) != nullptr);
  auto frame = golden("pk-read-request");
  checkFault(changed(frame, 12, 0), 0x83, Status::OVERSIZED);
  checkFault(changed(frame, 12, 129), 0x83, Status::OVERSIZED);
  checkFault(changed(frame, 13, 1), 0x83, Status::OVERSIZED);
}

TEST_CASE("a read reply never carries more than 128 bytes") {
  auto data = kj::heapArray<kj::byte>(200);
  memset(data.begin(), 7, data.size());
  auto reply = encodeReadReply(data);
  CHECK(reply.size() == 7 + 128);
  CHECK(KJ_ASSERT_NONNULL(decodeReadReply(reply)).data.size() == 128);
  CHECK(KJ_ASSERT_NONNULL(decodeReadReply(encodeReadReply(nullptr))).data.size() == 0);
  auto tooLong = resized(reply, 7 + 129);
  tooLong[5] = 129;
  CHECK(decodeReadReply(tooLong) == nullptr);
}

template <typename Decode>
void checkReplyMatrix(kj::StringPtr name, Decode&& decode) {
  CAPTURE(name.cStr());
  auto frame = golden(name);
  for (size_t size = 0; size < frame.size() + 3; size++) {
    CHECK((decode(resized(frame, size)) != nullptr) == (size == frame.size()));
  }
  for (size_t i = 0; i < 4; i++) {
    for (int bit = 0; bit < 8; bit++) CHECK(decode(changed(frame, i, frame[i] ^ 1 << bit)) == nullptr);
  }
  for (int status = 10; status < 256; status++) CHECK(decode(changed(frame, 4, status)) == nullptr);
}

TEST_CASE("an OK reply that is cut, extended or changed in its header gives no value") {
  checkReplyMatrix("pk-stat-reply", decodeStatReply);
  checkReplyMatrix("pk-open-reply", decodeOpenReply);
  checkReplyMatrix("pk-read-reply", decodeReadReply);
  checkReplyMatrix("pk-close-reply", decodeCloseReply);
}

TEST_CASE("a reply that is not OK is understood from 5 bytes on, and only its status") {
  auto cut = golden("pk-stat-traversal-reply");
  CHECK(cut.size() == FAULT_REPLY_BYTES);
  CHECK(decodeStatReply(cut.slice(0, 4)) == nullptr);
  for (size_t size : {5, 6, 15, 100}) {
    auto reply = resized(cut, size);
    if (size > 5) reply[5] = 0xee;
    auto decoded = KJ_ASSERT_NONNULL(decodeStatReply(reply));
    CHECK(decoded.status == Status::PATH_TRAVERSAL);
    CHECK(decoded.size == 0);
  }
  auto refused = KJ_ASSERT_NONNULL(decodeOpenReply(encodeStatus(Op::OPEN, Status::LIMIT)));
  CHECK(refused.status == Status::LIMIT);
  CHECK(refused.handle == 0);
  CHECK(KJ_ASSERT_NONNULL(decodeReadReply(encodeStatus(Op::READ, Status::BADF))).data.size() == 0);
  CHECK(KJ_ASSERT_NONNULL(decodeCloseReply(resized(encodeStatus(Op::CLOSE, Status::BADF), 9))) == Status::BADF);
}

TEST_CASE("OK without its fields cannot be encoded") {
  for (auto op : {Op::STAT, Op::OPEN, Op::READ}) CHECK_THROWS(encodeStatus(op, Status::OK));
}

}  // namespace
}  // namespace nexus::pk
