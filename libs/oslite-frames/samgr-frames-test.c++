#include "libs/oslite-frames/samgr-frames.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/oslite-frames/goldens.h"

namespace nexus::sm {
namespace {

using Bytes = kj::Array<kj::byte>;
constexpr uint64_t NONCE = 0x1122334455667788;

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

void checkFault(kj::ArrayPtr<const kj::byte> frame, uint8_t replyOp, Status status) {
  auto request = decodeRequest(frame);
  REQUIRE(request.is<Fault>());
  CHECK(int(request.get<Fault>().replyOp) == int(replyOp));
  CHECK(request.get<Fault>().status == status);
}

TEST_CASE("requests are the golden bytes") {
  CHECK(KJ_ASSERT_NONNULL(tryEncodeRegister("vfsd"_kj, 5, 0x01020304)) == golden("sm-register-request"));
  CHECK(KJ_ASSERT_NONNULL(tryEncodeLookup("vfsd"_kj)) == golden("sm-lookup-request"));
  CHECK(KJ_ASSERT_NONNULL(tryEncodeResolveStatus("bundlemgrd"_kj)) == golden("sm-resolve-status-request"));
  CHECK(encodePingCapMove(nullptr) == golden("sm-ping-request"));
  CHECK(encodePingCapMove(NONCE) == golden("sm-ping-nonce-request"));
  CHECK(encodeSenderPid(nullptr) == golden("sm-sender-pid-request"));
  CHECK(encodeSenderPid(NONCE) == golden("sm-sender-pid-nonce-request"));
  CHECK(encodeSenderServiceId(nullptr) == golden("sm-sender-service-id-request"));
  CHECK(encodeSenderServiceId(NONCE) == golden("sm-sender-service-id-nonce-request"));
}

TEST_CASE("golden requests decode to their fields") {
  auto bytes = golden("sm-register-request");
  auto request = decodeRequest(bytes);
  REQUIRE(request.is<Register>());
  CHECK(request.get<Register>().name == "vfsd"_kj.asArray());
  CHECK(request.get<Register>().sendSlot == 5);
  CHECK(request.get<Register>().recvSlot == 0x01020304);
  bytes = golden("sm-lookup-request");
  CHECK(decodeRequest(bytes).get<Lookup>().name == "vfsd"_kj.asArray());
  bytes = golden("sm-resolve-status-request");
  CHECK(decodeRequest(bytes).get<ResolveStatus>().name == "bundlemgrd"_kj.asArray());
  CHECK(decodeRequest(golden("sm-ping-request")).get<PingCapMove>().nonce == nullptr);
  CHECK(KJ_ASSERT_NONNULL(decodeRequest(golden("sm-ping-nonce-request")).get<PingCapMove>().nonce) == NONCE);
  CHECK(decodeRequest(golden("sm-sender-pid-request")).get<SenderPid>().nonce == nullptr);
  CHECK(KJ_ASSERT_NONNULL(decodeRequest(golden("sm-sender-pid-nonce-request")).get<SenderPid>().nonce) == NONCE);
  CHECK(decodeRequest(golden("sm-sender-service-id-request")).get<SenderServiceId>().nonce == nullptr);
  CHECK(KJ_ASSERT_NONNULL(decodeRequest(golden("sm-sender-service-id-nonce-request")).get<SenderServiceId>().nonce) ==
        NONCE);
}

TEST_CASE("replies are the golden bytes") {
  CHECK(encodeReply(Op::REGISTER, Status::OK) == golden("sm-register-reply"));
  CHECK(encodeReply(Op::LOOKUP, Status::OK, 5, 0x01020304) == golden("sm-lookup-reply"));
  CHECK(encodeReply(Op::LOOKUP, Status::NOT_FOUND) == golden("sm-lookup-not-found-reply"));
  CHECK(encodeReply(Op::RESOLVE_STATUS, Status::OK) == golden("sm-resolve-status-reply"));
  CHECK(encodeFault(decodeRequest("bad"_kj.asBytes()).get<Fault>()) == golden("sm-header-fault-reply"));
  kj::byte unknown[] = {'S', 'M', 1, 0x42, 0};
  CHECK(encodeFault(decodeRequest(unknown).get<Fault>()) == golden("sm-unknown-op-reply"));
  CHECK(encodePong(nullptr) == golden("sm-pong-reply"));
  CHECK(encodePong(NONCE) == golden("sm-pong-nonce-reply"));
  CHECK(encodeSenderPidReply(4711, nullptr) == golden("sm-sender-pid-reply"));
  CHECK(encodeSenderPidReply(4711, NONCE) == golden("sm-sender-pid-nonce-reply"));
  CHECK(encodeSenderServiceIdReply(0x7ee758bbfced33e3, nullptr) == golden("sm-sender-service-id-reply"));
  CHECK(encodeSenderServiceIdReply(0x7ee758bbfced33e3, NONCE) == golden("sm-sender-service-id-nonce-reply"));
}

TEST_CASE("golden replies decode to their fields") {
  auto reply = KJ_ASSERT_NONNULL(decodeReply(golden("sm-lookup-reply"), Op::LOOKUP));
  CHECK(reply.status == Status::OK);
  CHECK(reply.sendSlot == 5);
  CHECK(reply.recvSlot == 0x01020304);
  CHECK(KJ_ASSERT_NONNULL(decodeReply(golden("sm-lookup-not-found-reply"), Op::LOOKUP)).status == Status::NOT_FOUND);
  auto any = KJ_ASSERT_NONNULL(decodeAnyReply(golden("sm-unknown-op-reply")));
  CHECK(any.op == 0xc2);
  CHECK(any.reply.status == Status::UNSUPPORTED);
  CHECK(KJ_ASSERT_NONNULL(decodePong(golden("sm-pong-reply"))).nonce == nullptr);
  CHECK(KJ_ASSERT_NONNULL(KJ_ASSERT_NONNULL(decodePong(golden("sm-pong-nonce-reply"))).nonce) == NONCE);
  CHECK(KJ_ASSERT_NONNULL(decodeSenderPidReply(golden("sm-sender-pid-reply"))).pid == 4711);
  CHECK(KJ_ASSERT_NONNULL(KJ_ASSERT_NONNULL(decodeSenderPidReply(golden("sm-sender-pid-nonce-reply"))).nonce) == NONCE);
  auto id = KJ_ASSERT_NONNULL(decodeSenderServiceIdReply(golden("sm-sender-service-id-nonce-reply")));
  CHECK(id.id == 0x7ee758bbfced33e3);
  CHECK(KJ_ASSERT_NONNULL(id.nonce) == NONCE);
}

TEST_CASE("a frame shorter than 5 bytes is MALFORMED under op byte 0x82, whatever it says") {
  checkFault(nullptr, 0x82, Status::MALFORMED);
  for (auto op : {1, 2, 4, 6, 0x42}) {
    kj::byte frame[] = {'S', 'M', 1, kj::byte(op)};
    for (size_t size = 0; size <= 4; size++) checkFault(kj::arrayPtr(frame, size), 0x82, Status::MALFORMED);
  }
  kj::byte otherVersion[] = {'S', 'M', 2, 3};
  checkFault(otherVersion, 0x82, Status::MALFORMED);
}

TEST_CASE("wrong magic is MALFORMED under op byte 0x82, before version and op are looked at") {
  for (size_t i = 0; i < 2; i++) {
    auto frame = changed(golden("sm-lookup-request"), i, 'X');
    checkFault(frame, 0x82, Status::MALFORMED);
    checkFault(changed(frame, 2, 9), 0x82, Status::MALFORMED);
    checkFault(changed(frame, 3, 0x42), 0x82, Status::MALFORMED);
  }
}

TEST_CASE("another version is UNSUPPORTED with the op echoed, before the layout is looked at") {
  for (auto name : {"sm-register-request", "sm-lookup-request", "sm-resolve-status-request", "sm-ping-nonce-request"}) {
    auto frame = golden(name);
    for (int version : {0, 2, 255}) {
      checkFault(changed(frame, 2, version), frame[3] | 0x80, Status::UNSUPPORTED);
      checkFault(resized(changed(frame, 2, version), 5), frame[3] | 0x80, Status::UNSUPPORTED);
    }
  }
}

TEST_CASE("an unknown op is UNSUPPORTED with the op echoed, at any length") {
  for (int op = 0; op < 256; op++) {
    if (1 <= op && op <= 6) continue;
    kj::byte frame[] = {'S', 'M', 1, kj::byte(op), 0};
    checkFault(frame, op | 0x80, Status::UNSUPPORTED);
    checkFault(resized(frame, 300), op | 0x80, Status::UNSUPPORTED);
  }
}

TEST_CASE("every truncation and every trailing byte of a request with fields is MALFORMED") {
  for (auto name : {"sm-register-request", "sm-lookup-request", "sm-resolve-status-request", "sm-sender-pid-request",
                    "sm-sender-pid-nonce-request", "sm-sender-service-id-nonce-request"}) {
    CAPTURE(name);
    auto frame = golden(name);
    for (size_t size = 5; size <= frame.size() + 2; size++) {
      CAPTURE(size);
      bool whole = size == frame.size() || (frame[3] == 4 && size == 8);
      if (whole)
        CHECK_FALSE(decodeRequest(resized(frame, size)).is<Fault>());
      else
        checkFault(resized(frame, size), frame[3] | 0x80, Status::MALFORMED);
    }
  }
}

TEST_CASE("a length byte that does not fit the frame is MALFORMED") {
  for (auto name : {"sm-register-request", "sm-lookup-request", "sm-resolve-status-request"}) {
    auto frame = golden(name);
    for (int length = 0; length < 256; length++) {
      if (length != frame[4]) checkFault(changed(frame, 4, length), frame[3] | 0x80, Status::MALFORMED);
    }
  }
}

TEST_CASE("names are bounded where they are encoded and where they are decoded") {
  auto name = [](size_t size) { return kj::str(kj::repeat('n', size)); };
  CHECK(tryEncodeRegister(name(0).asArray(), 0, 0) == nullptr);
  CHECK(tryEncodeRegister(name(256).asArray(), 0, 0) == nullptr);
  CHECK(tryEncodeLookup(name(0).asArray()) == nullptr);
  CHECK(tryEncodeLookup(name(256).asArray()) == nullptr);
  CHECK(tryEncodeResolveStatus(name(0).asArray()) == nullptr);
  CHECK(tryEncodeResolveStatus(name(49).asArray()) == nullptr);
  auto longest = name(255);
  CHECK(decodeRequest(KJ_ASSERT_NONNULL(tryEncodeRegister(longest.asArray(), 1, 2))).get<Register>().name.size() ==
        255);
  auto lookup = KJ_ASSERT_NONNULL(tryEncodeLookup(longest.asArray()));
  CHECK(decodeRequest(lookup).get<Lookup>().name.size() == 255);
  auto resolve = KJ_ASSERT_NONNULL(tryEncodeResolveStatus(name(48).asArray()));
  CHECK(decodeRequest(resolve).get<ResolveStatus>().name.size() == 48);
  lookup = resized(KJ_ASSERT_NONNULL(tryEncodeLookup(name(49).asArray())), 5 + 49);
  checkFault(changed(lookup, 3, 6), 0x86, Status::MALFORMED);
}

TEST_CASE("a name is bytes, not text") {
  kj::byte frame[] = {'S', 'M', 1, 2, 2, 0xff, 0x00};
  auto request = decodeRequest(frame);
  REQUIRE(request.is<Lookup>());
  CHECK(request.get<Lookup>().name.size() == 2);
}

TEST_CASE("PING_CAP_MOVE takes any length, and only 12 bytes carry a nonce") {
  for (size_t size = 4; size < 40; size++) {
    auto request = decodeRequest(resized(golden("sm-ping-nonce-request"), size));
    REQUIRE(request.is<PingCapMove>());
    CHECK((request.get<PingCapMove>().nonce != nullptr) == (size == 12));
  }
}

TEST_CASE("padding of SENDER_PID is ignored") {
  auto frame = golden("sm-sender-pid-request");
  for (size_t i = 4; i < 8; i++) frame[i] = 0xee;
  CHECK(decodeRequest(frame).is<SenderPid>());
}

template <typename Decode>
void checkReplyMatrix(kj::StringPtr name, Decode&& decode, size_t checkedBytes, kj::ArrayPtr<const size_t> legalSizes) {
  CAPTURE(name.cStr());
  auto frame = golden(name);
  for (size_t size = 0; size < frame.size() + 9; size++) {
    CAPTURE(size);
    bool legal = false;
    for (size_t l : legalSizes) legal = legal || l == size;
    CHECK(decode(resized(frame, size)) == legal);
  }
  for (size_t i = 0; i < checkedBytes; i++) {
    for (int bit = 0; bit < 8; bit++) CHECK_FALSE(decode(changed(frame, i, frame[i] ^ 1 << bit)));
  }
}

TEST_CASE("a reply that is cut, extended or changed in its header gives no value") {
  auto general = [](kj::ArrayPtr<const kj::byte> f) { return decodeReply(f, Op::LOOKUP) != nullptr; };
  auto pong = [](kj::ArrayPtr<const kj::byte> f) { return decodePong(f) != nullptr; };
  auto pid = [](kj::ArrayPtr<const kj::byte> f) { return decodeSenderPidReply(f) != nullptr; };
  auto id = [](kj::ArrayPtr<const kj::byte> f) { return decodeSenderServiceIdReply(f) != nullptr; };
  checkReplyMatrix("sm-lookup-reply", general, 4, {13});
  checkReplyMatrix("sm-pong-reply", pong, 4, {4, 12});
  checkReplyMatrix("sm-sender-pid-reply", pid, 5, {9, 17});
  checkReplyMatrix("sm-sender-service-id-reply", id, 5, {13, 21});
}

TEST_CASE("a reply with an unknown status or to another op gives no value") {
  auto frame = golden("sm-lookup-reply");
  CHECK(decodeReply(frame, Op::REGISTER) == nullptr);
  CHECK(decodeReply(changed(frame, 4, 3), Op::LOOKUP) != nullptr);
  for (int status = 4; status < 256; status++) CHECK(decodeReply(changed(frame, 4, status), Op::LOOKUP) == nullptr);
}

TEST_CASE("a request is no reply, and a reply is no request that is known") {
  auto request = resized(golden("sm-lookup-request"), 13);
  CHECK(decodeAnyReply(request) == nullptr);
  checkFault(golden("sm-lookup-reply"), 0x82, Status::UNSUPPORTED);
}

}  // namespace
}  // namespace nexus::sm
