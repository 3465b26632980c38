#include "libs/oslite-frames/bundlemgr-frames.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/oslite-frames/goldens.h"

namespace nexus::bn {
namespace {

using Bytes = kj::Array<kj::byte>;

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

TEST_CASE("requests are the golden bytes, and they decode") {
  CHECK(encodeList() == golden("bn-list-request"));
  CHECK(encodeFetchImage() == golden("bn-fetch-image-request"));
  CHECK(KJ_ASSERT_NONNULL(tryEncodeRoute("samgrd"_kj)) == golden("bn-route-request"));
  CHECK(decodeRequest(golden("bn-list-request")).is<List>());
  CHECK(decodeRequest(golden("bn-fetch-image-request")).is<FetchImage>());
  auto route = golden("bn-route-request");
  CHECK(decodeRequest(route).get<Route>().name == "samgrd"_kj.asArray());
}

TEST_CASE("replies are the golden bytes, and they decode") {
  CHECK(encodeListReply(0x0102) == golden("bn-list-reply"));
  CHECK(encodeRouteReply(RouteStatus::NO_ANSWER) == golden("bn-route-reply"));
  CHECK(encodeImageReply(golden("nxbi-system")) == golden("bn-fetch-image-reply"));
  CHECK(encodeFault(decodeRequest("bad"_kj.asBytes()).get<Fault>()) == golden("bn-header-fault-reply"));
  kj::byte unknown[] = {'B', 'N', 1, 4};
  CHECK(encodeFault(decodeRequest(unknown).get<Fault>()) == golden("bn-unknown-op-reply"));
  CHECK(encodeFault(Op::LIST, Status::MALFORMED) == golden("bn-list-malformed-reply"));

  auto list = KJ_ASSERT_NONNULL(decodeListReply(golden("bn-list-reply")));
  CHECK(list.status == Status::OK);
  CHECK(list.count == 0x0102);
  auto route = KJ_ASSERT_NONNULL(decodeRouteReply(golden("bn-route-reply")));
  CHECK(route.status == Status::OK);
  CHECK(route.route == RouteStatus::NO_ANSWER);
  auto bytes = golden("bn-fetch-image-reply");
  auto image = KJ_ASSERT_NONNULL(decodeImageReply(bytes));
  CHECK(image.status == Status::OK);
  CHECK(image.image == golden("nxbi-system").asPtr());
  auto fault = KJ_ASSERT_NONNULL(decodeFault(golden("bn-unknown-op-reply")));
  CHECK(fault.replyOp == 0x84);
  CHECK(fault.status == Status::UNSUPPORTED);
}

TEST_CASE("a frame shorter than 4 bytes or of other magic is MALFORMED under op byte 0x81") {
  auto frame = golden("bn-route-request");
  for (size_t size = 0; size < 4; size++) checkFault(frame.slice(0, size), 0x81, Status::MALFORMED);
  for (size_t i = 0; i < 2; i++) {
    auto bad = changed(frame, i, 'X');
    checkFault(bad, 0x81, Status::MALFORMED);
    checkFault(changed(bad, 2, 9), 0x81, Status::MALFORMED);
    checkFault(changed(bad, 3, 0x42), 0x81, Status::MALFORMED);
  }
}

TEST_CASE("another version is UNSUPPORTED with the op echoed, before the size is looked at") {
  for (int op : {1, 2, 3, 0x42}) {
    for (int version : {0, 2, 255}) {
      kj::byte frame[] = {'B', 'N', kj::byte(version), kj::byte(op), 0};
      checkFault(kj::arrayPtr(frame, 4), op | 0x80, Status::UNSUPPORTED);
      checkFault(frame, op | 0x80, Status::UNSUPPORTED);
    }
  }
}

TEST_CASE("an unknown op is UNSUPPORTED with the op echoed, at any length") {
  for (int op = 0; op < 256; op++) {
    if ((1 <= op && op <= 3) || op == 16) continue;
    kj::byte frame[] = {'B', 'N', 1, kj::byte(op)};
    checkFault(frame, op | 0x80, Status::UNSUPPORTED);
    checkFault(resized(frame, 100), op | 0x80, Status::UNSUPPORTED);
  }
}

TEST_CASE("every wrong size of a known op is MALFORMED with the op echoed") {
  for (auto name : {"bn-list-request", "bn-route-request", "bn-fetch-image-request", "bn-query-request"}) {
    auto frame = golden(name);
    for (size_t size = 4; size < frame.size() + 4; size++) {
      CAPTURE(size);
      if (size != frame.size()) checkFault(resized(frame, size), frame[3] | 0x80, Status::MALFORMED);
    }
  }
  auto route = golden("bn-route-request");
  for (int length = 0; length < 256; length++) {
    if (length != route[4]) checkFault(changed(route, 4, length), 0x82, Status::MALFORMED);
  }
}

TEST_CASE("a query and its reply are the golden bytes, and they decode") {
  CHECK(KJ_ASSERT_NONNULL(tryEncodeQuery("system"_kj)) == golden("bn-query-request"));
  auto request = golden("bn-query-request");
  CHECK(decodeRequest(request).get<Query>().name == "system"_kj.asArray());
  CHECK(encodeQueryReply(2, "1.0.0"_kj) == golden("bn-query-reply"));
  auto bytes = golden("bn-query-reply");
  auto reply = KJ_ASSERT_NONNULL(decodeQueryReply(bytes));
  CHECK(reply.status == Status::OK);
  CHECK(reply.installed == 2);
  CHECK(reply.version == "1.0.0"_kj.asArray());
  for (size_t size = 0; size < bytes.size() + 3; size++) {
    if (size != bytes.size()) CHECK(decodeQueryReply(resized(bytes, size)) == nullptr);
  }
  for (size_t at : {0, 1, 2, 3, 4}) CHECK(decodeQueryReply(changed(bytes, at, 0x77)) == nullptr);
}

TEST_CASE("a bundle that is not there has no version, and a query's fault has 8 bytes") {
  auto none = encodeQueryReply(0, ""_kj);
  CHECK(KJ_ASSERT_NONNULL(decodeQueryReply(none)).installed == 0);
  CHECK(decodeQueryReply(encodeQueryReply(0, "1.0"_kj)) == nullptr);
  auto fault = KJ_ASSERT_NONNULL(decodeQueryReply(encodeFault(Op::QUERY, Status::UNSUPPORTED)));
  CHECK(fault.status == Status::UNSUPPORTED);
  CHECK(tryEncodeQuery(nullptr) == nullptr);
  auto tooLong = kj::str(kj::repeat('n', 49));
  CHECK(tryEncodeQuery(tooLong.asArray()) == nullptr);
}

TEST_CASE("route names are 1 to 48 bytes on both sides") {
  CHECK(tryEncodeRoute(nullptr) == nullptr);
  auto longest = kj::str(kj::repeat('n', 48)), tooLong = kj::str(kj::repeat('n', 49));
  CHECK(tryEncodeRoute(tooLong.asArray()) == nullptr);
  auto frame = KJ_ASSERT_NONNULL(tryEncodeRoute(longest.asArray()));
  CHECK(decodeRequest(frame).is<Route>());
  frame = resized(frame, 5 + 49);
  frame[4] = 49;
  checkFault(frame, 0x82, Status::MALFORMED);
}

template <typename Decode>
void checkReplyMatrix(kj::StringPtr name, Decode&& decode) {
  CAPTURE(name.cStr());
  auto frame = golden(name);
  for (size_t size = 0; size < frame.size() + 3; size++) {
    if (size != frame.size()) CHECK_FALSE(decode(resized(frame, size)));
  }
  for (size_t i = 0; i < 4; i++) {
    for (int bit = 0; bit < 8; bit++) CHECK_FALSE(decode(changed(frame, i, frame[i] ^ 1 << bit)));
  }
  for (int status = 3; status < 256; status++) CHECK_FALSE(decode(changed(frame, 4, status)));
}

TEST_CASE("a reply that is cut, extended, changed in its header or of unknown status gives no value") {
  checkReplyMatrix("bn-list-reply", [](kj::ArrayPtr<const kj::byte> f) { return decodeListReply(f) != nullptr; });
  checkReplyMatrix("bn-route-reply", [](kj::ArrayPtr<const kj::byte> f) { return decodeRouteReply(f) != nullptr; });
  checkReplyMatrix("bn-fetch-image-reply",
                   [](kj::ArrayPtr<const kj::byte> f) { return decodeImageReply(f) != nullptr; });
  checkReplyMatrix("bn-unknown-op-reply", [](kj::ArrayPtr<const kj::byte> f) {
    auto fault = decodeFault(f);
    KJ_IF_MAYBE (x, fault) return x->replyOp == 0x84;
    return false;
  });
}

TEST_CASE("reserved bytes of replies are ignored") {
  CHECK(KJ_ASSERT_NONNULL(decodeListReply(changed(golden("bn-list-reply"), 7, 0xee))).count == 0x0102);
  CHECK(decodeRouteReply(changed(golden("bn-route-reply"), 6, 0xee)) != nullptr);
  CHECK(decodeFault(changed(golden("bn-unknown-op-reply"), 5, 0xee)) != nullptr);
}

TEST_CASE("an unknown route status gives no value") {
  CHECK(decodeRouteReply(changed(golden("bn-route-reply"), 5, 3)) != nullptr);
  CHECK(decodeRouteReply(changed(golden("bn-route-reply"), 5, 4)) == nullptr);
}

TEST_CASE("the length of an image reply must match the frame exactly") {
  auto frame = golden("bn-fetch-image-reply");
  for (int delta : {-1, 1, 2}) CHECK(decodeImageReply(changed(frame, 5, frame[5] + delta)) == nullptr);
  for (size_t i = 6; i < 9; i++) CHECK(decodeImageReply(changed(frame, i, 1)) == nullptr);
  CHECK(decodeImageReply(encodeImageReply(nullptr)) != nullptr);
}

TEST_CASE("a refused FETCH_IMAGE is 8 bytes, and OK is never 8 bytes") {
  auto refused = encodeFault(Op::FETCH_IMAGE, Status::UNSUPPORTED);
  auto reply = KJ_ASSERT_NONNULL(decodeImageReply(refused));
  CHECK(reply.status == Status::UNSUPPORTED);
  CHECK(reply.image.size() == 0);
  CHECK(decodeImageReply(changed(refused, 4, 0)) == nullptr);
}

TEST_CASE("a request is no fault, and OK is no fault") {
  CHECK(decodeFault(resized(golden("bn-list-request"), 8)) == nullptr);
  CHECK(decodeFault(golden("bn-list-reply")) == nullptr);
}

}  // namespace
}  // namespace nexus::bn
