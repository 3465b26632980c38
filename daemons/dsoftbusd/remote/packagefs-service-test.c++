#include "daemons/dsoftbusd/remote/packagefs-service.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/oslite-frames/packagefs-frames.h"

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;

const auto PATH = "pkg:/system/1.0.0/build.prop"_kj;
Bytes needed(kj::Maybe<Bytes> frame) {
  return kj::mv(KJ_ASSERT_NONNULL(frame));
}
const Bytes STAT = needed(pk::tryEncodeStat(PATH.asArray()));
const Bytes OPEN = needed(pk::tryEncodeOpen(PATH.asArray()));
const Bytes READ = needed(pk::tryEncodeRead(1, 0, 16));
const Bytes CLOSE = pk::encodeClose(1);

kj::String operation(kj::ArrayPtr<const kj::byte> frame) {
  return kj::str(packagefsOperation(frame).orDefault("none"_kj));
}

// A STAT of any bytes as path, as a peer may write it.
Bytes statOf(kj::StringPtr path) {
  auto frame = kj::heapArray<kj::byte>(6 + path.size());
  memcpy(frame.begin(), STAT.begin(), 4);
  frame[4] = path.size() & 0xff, frame[5] = path.size() >> 8;
  memcpy(frame.begin() + 6, path.begin(), path.size());
  return frame;
}

kj::Maybe<pk::Status> refused(kj::ArrayPtr<const kj::byte> frame) {
  return packagefsRefusal(frame).map([](Bytes&& reply) {
    CHECK(reply.size() == pk::FAULT_REPLY_BYTES);
    return pk::Status(reply[4]);
  });
}

TEST_CASE("the operation is told by the op byte, also of a request whose fields are wrong") {
  CHECK(operation(STAT) == "stat");
  CHECK(operation(OPEN) == "open");
  CHECK(operation(READ) == "read");
  CHECK(operation(CLOSE) == "close");
  CHECK(operation(CLOSE.slice(0, 5)) == "close");
  CHECK(operation(statOf("pkg:/../x")) == "stat");
  for (kj::uint op = 0; op < 256; op++) {
    auto frame = kj::heapArray(CLOSE.asPtr());
    frame[3] = op;
    CHECK((operation(frame) == "none") == (op < 1 || op > 4));
    frame[2] = 2;
    CHECK(operation(frame) == "none");
  }
  CHECK(operation(nullptr) == "none");
}

TEST_CASE("what the rules of paths and lengths forbid is refused here, in PK's own words") {
  for (auto* frame : {&STAT, &OPEN, &READ, &CLOSE}) CHECK(refused(*frame) == nullptr);
  CHECK(refused(statOf("pkg:/a/../b")) == pk::Status::PATH_TRAVERSAL);
  CHECK(refused(statOf("file:/etc/passwd")) == pk::Status::NON_PACKAGEFS_SCHEME);
  CHECK(refused(statOf(kj::str("pkg:/", kj::repeat('a', 188)))) == pk::Status::OVERSIZED);
  CHECK(refused(CLOSE.slice(0, 7)) == pk::Status::BAD_REQUEST);
  auto tooMuch = kj::heapArray(READ.asPtr());
  tooMuch[12] = 129;
  CHECK(refused(tooMuch) == pk::Status::OVERSIZED);
}

TEST_CASE("a reply crosses only when it is one to that request") {
  auto stat = pk::encodeStatReply(19, pk::KIND_FILE), open = pk::encodeOpenReply(3);
  auto read = pk::encodeReadReply("0123456789abcdef"_kj.asBytes());
  auto closed = pk::encodeStatus(pk::Op::CLOSE, pk::Status::OK);
  CHECK(judgePackagefsReply(STAT, stat) == ReplyVerdict::OK);
  CHECK(judgePackagefsReply(OPEN, open) == ReplyVerdict::OK);
  CHECK(judgePackagefsReply(READ, read) == ReplyVerdict::OK);
  CHECK(judgePackagefsReply(CLOSE, closed) == ReplyVerdict::OK);
  const Bytes* requests[] = {&STAT, &OPEN, &READ, &CLOSE};
  const Bytes* replies[] = {&stat, &open, &read, &closed};
  for (int asked = 0; asked < 4; asked++) {
    for (int answered = 0; answered < 4; answered++) {
      if (asked == answered) continue;
      CHECK(judgePackagefsReply(*requests[asked], *replies[answered]) == ReplyVerdict::NOT_A_REPLY);
    }
    CHECK(judgePackagefsReply(*requests[asked], nullptr) == ReplyVerdict::NOT_A_REPLY);
  }
  CHECK(judgePackagefsReply(OPEN, pk::encodeOpenReply(0)) == ReplyVerdict::NOT_A_REPLY);
  // More than was asked for.
  CHECK(judgePackagefsReply(READ, pk::encodeReadReply("0123456789abcdefg"_kj.asBytes())) == ReplyVerdict::NOT_A_REPLY);
}

TEST_CASE("a refusal crosses as its status, with nothing behind it") {
  auto missing = pk::encodeStatus(pk::Op::STAT, pk::Status::NOT_FOUND);
  CHECK(judgePackagefsReply(STAT, missing) == ReplyVerdict::SAID_NO);
  auto padded = kj::heapArray<kj::byte>(15);
  memset(padded.begin(), 0xaa, padded.size());
  memcpy(padded.begin(), missing.begin(), missing.size());
  CHECK(judgePackagefsReply(STAT, padded) == ReplyVerdict::NOT_A_REPLY);
}

}  // namespace
}  // namespace nexus
