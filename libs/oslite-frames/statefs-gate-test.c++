#include "libs/oslite-frames/statefs-gate.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/oslite-frames/goldens.h"

namespace nexus::sf {
namespace {

using Bytes = kj::Array<kj::byte>;
using Body = kj::OneOf<Put, Get, Del, List, Sync, Reopen>;

const kj::byte VALUE[MAX_REMOTE_VALUE_BYTES + 1] = {1};

Value valueOf(size_t bytes) {
  return kj::arrayPtr(VALUE, bytes);
}

Bytes frameOf(Body body, Nonce nonce = nullptr) {
  return KJ_ASSERT_NONNULL(tryEncodeRequest(Request{nonce, body}));
}

void checkRejected(kj::ArrayPtr<const kj::byte> frame, GateReject reject, bool authenticated = true) {
  auto judged = checkRemote(authenticated, frame);
  REQUIRE(judged.is<GateReject>());
  CHECK(judged.get<GateReject>() == reject);
}

void checkAllowed(kj::ArrayPtr<const kj::byte> frame) {
  CHECK(checkRemote(true, frame).is<Request>());
}

TEST_CASE("put, get, delete and list under /state/shared/ and sync pass, of both versions") {
  for (auto name : {"sf-put-request", "sf-get-request", "sf-del-request", "sf-list-request", "sf-sync-request"}) {
    checkAllowed(golden(name));
    checkAllowed(golden(kj::str(name, "-v2")));
  }
}

TEST_CASE("a stranger is refused before the frame is looked at") {
  checkRejected(golden("sf-put-request"), GateReject::UNAUTHENTICATED, false);
  checkRejected(nullptr, GateReject::UNAUTHENTICATED, false);
  checkRejected(kj::heapArray<kj::byte>(1000), GateReject::UNAUTHENTICATED, false);
}

TEST_CASE("an empty frame, one that does not decode, a transaction and REOPEN are bad requests") {
  checkRejected(nullptr, GateReject::BAD_REQUEST);
  checkRejected("bad"_kj.asBytes(), GateReject::BAD_REQUEST);
  for (int op = 7; op <= 10; op++) {
    kj::byte transaction[] = {'S', 'F', 1, kj::byte(op)};
    checkRejected(transaction, GateReject::BAD_REQUEST);
  }
  checkRejected(golden("sf-reopen-request"), GateReject::BAD_REQUEST);
  checkRejected(golden("sf-reopen-request-v2"), GateReject::BAD_REQUEST);
  auto frame = golden("sf-put-request");
  for (size_t size = 1; size < frame.size(); size++) checkRejected(frame.slice(0, size), GateReject::BAD_REQUEST);
}

TEST_CASE("a frame of 256 bytes is judged by what it says, one of 257 is oversized whatever it says") {
  auto frame = kj::heapArray<kj::byte>(257);
  memset(frame.begin(), 0, frame.size());
  checkRejected(frame.slice(0, 256), GateReject::BAD_REQUEST);
  checkRejected(frame, GateReject::OVERSIZED);
}

TEST_CASE("a write outside of /state/shared/ is outside of the ACL") {
  for (auto key : {"/state/a"_kj, "/state/shared"_kj, "/state/sharedx/a"_kj, "/etc/passwd"_kj, "state/shared/a"_kj,
                   "/STATE/shared/a"_kj, "/state/private/state/shared/a"_kj, " /state/shared/a"_kj}) {
    CAPTURE(key.cStr());
    checkRejected(frameOf(Put{key, valueOf(1)}), GateReject::OUTSIDE_ACL);
    checkRejected(frameOf(Get{key}), GateReject::OUTSIDE_ACL);
    checkRejected(frameOf(Del{key}), GateReject::OUTSIDE_ACL);
    checkRejected(frameOf(List{key, 1}), GateReject::OUTSIDE_ACL);
  }
}

TEST_CASE("a key that climbs out, or holds NUL or a backslash, is an escape, before its prefix is looked at") {
  kj::StringPtr keys[] = {"/state/shared/../a"_kj,
                          "/state/shared/a/.."_kj,
                          "/state/shared/a/."_kj,
                          "/state/shared/./a"_kj,
                          "/state/shared//a"_kj,
                          "/state/shared/a\\b"_kj,
                          "/etc/../a"_kj,
                          "//"_kj,
                          "\\"_kj,
                          "/.."_kj,
                          "/state/shared/a//"_kj,
                          kj::StringPtr("/state/shared/\0", 15)};
  for (auto key : keys) {
    CAPTURE(key.cStr());
    checkRejected(frameOf(Put{key, valueOf(1)}), GateReject::PREFIX_ESCAPE);
    checkRejected(frameOf(Get{key}), GateReject::PREFIX_ESCAPE);
    checkRejected(frameOf(Del{key}), GateReject::PREFIX_ESCAPE);
    checkRejected(frameOf(List{key, 1}), GateReject::PREFIX_ESCAPE);
  }
  checkRejected(frameOf(Get{"/state/shared/\xff"_kj}), GateReject::PREFIX_ESCAPE);
}

TEST_CASE("dots inside of a segment are no escape") {
  for (auto key : {"/state/shared/..."_kj, "/state/shared/.a"_kj, "/state/shared/a..b"_kj, "/state/shared/a."_kj}) {
    CAPTURE(key.cStr());
    checkAllowed(frameOf(Get{key}));
  }
}

TEST_CASE("the bare prefix may be listed, and is no key") {
  checkAllowed(frameOf(List{REMOTE_PREFIX, 1}));
  checkRejected(frameOf(List{nullptr, 1}), GateReject::BAD_REQUEST);
  checkRejected(frameOf(Get{REMOTE_PREFIX}), GateReject::OUTSIDE_ACL);
  checkRejected(frameOf(Del{REMOTE_PREFIX}), GateReject::OUTSIDE_ACL);
  checkRejected(frameOf(Put{REMOTE_PREFIX, valueOf(1)}), GateReject::OUTSIDE_ACL);
}

TEST_CASE("a key of 96 bytes passes, one of 97 is oversized, before its form is looked at") {
  auto longest = kj::str(REMOTE_PREFIX, kj::repeat('k', 96 - REMOTE_PREFIX.size()));
  checkAllowed(frameOf(Put{longest, valueOf(1)}));
  checkAllowed(frameOf(List{longest, 1}));
  auto tooLong = kj::str(longest, "\\");
  checkRejected(frameOf(Put{tooLong, valueOf(1)}), GateReject::OVERSIZED);
  checkRejected(frameOf(Get{tooLong}), GateReject::OVERSIZED);
  checkRejected(frameOf(List{tooLong, 1}), GateReject::OVERSIZED);
}

TEST_CASE("a value is 1 to 128 bytes, a LIST limit at most 64") {
  auto key = "/state/shared/a"_kj;
  checkAllowed(frameOf(Put{key, valueOf(128)}));
  checkRejected(frameOf(Put{key, valueOf(129)}), GateReject::OVERSIZED);
  checkRejected(frameOf(Put{key, nullptr}), GateReject::BAD_REQUEST);
  checkRejected(frameOf(Put{"/state/a"_kj, valueOf(129)}), GateReject::OUTSIDE_ACL);
  for (int limit : {0, 1, 64}) checkAllowed(frameOf(List{key, uint16_t(limit)}));
  for (int limit : {65, 256, 65535}) checkRejected(frameOf(List{key, uint16_t(limit)}), GateReject::OVERSIZED);
}

TEST_CASE("a key length or a value length above the protocol's own bounds is oversized") {
  kj::byte longKey[] = {'S', 'F', 1, 2, 0, 1};
  checkRejected(longKey, GateReject::OVERSIZED);
  kj::byte longValue[] = {'S', 'F', 1, 1, 1, 0, 1, 0, 1, 0};
  checkRejected(longValue, GateReject::OVERSIZED);
}

TEST_CASE("each reason has its status and its audit suffix") {
  struct {
    GateReject reject;
    Status status;
    kj::StringPtr suffix;
  } table[] = {{GateReject::BAD_REQUEST, Status::MALFORMED, "reject bad_request"_kj},
               {GateReject::UNAUTHENTICATED, Status::ACCESS_DENIED, "reject unauthenticated"_kj},
               {GateReject::OUTSIDE_ACL, Status::ACCESS_DENIED, "reject outside_acl"_kj},
               {GateReject::PREFIX_ESCAPE, Status::INVALID_KEY, "reject prefix_escape"_kj},
               {GateReject::OVERSIZED, Status::VALUE_TOO_LARGE, "reject oversized"_kj}};
  for (auto& row : table) {
    CHECK(statusOf(row.reject) == row.status);
    CHECK(auditSuffix(row.reject) == row.suffix);
  }
}

TEST_CASE("a refusal is 5 bytes of version 1 with the op echoed, whatever the version of the request") {
  auto expected = golden("sf-gate-outside-acl-reply");
  CHECK(encodeReject(golden("sf-put-request"), GateReject::OUTSIDE_ACL) == expected);
  CHECK(encodeReject(golden("sf-put-request-v2"), GateReject::OUTSIDE_ACL) == expected);
  CHECK(encodeReject("bad"_kj.asBytes(), GateReject::BAD_REQUEST) == golden("sf-header-fault-reply"));
}

TEST_CASE("changes are audited by name, questions are not") {
  CHECK(KJ_ASSERT_NONNULL(auditLine(golden("sf-put-request"), AUDIT_ALLOW)) ==
        "dsoftbusd: audit remote statefs put allow");
  CHECK(KJ_ASSERT_NONNULL(auditLine(golden("sf-del-request-v2"), AUDIT_REJECT_STATUS)) ==
        "dsoftbusd: audit remote statefs delete reject status");
  CHECK(KJ_ASSERT_NONNULL(auditLine(golden("sf-put-request"), auditSuffix(GateReject::PREFIX_ESCAPE))) ==
        "dsoftbusd: audit remote statefs put reject prefix_escape");
  for (auto name : {"sf-get-request", "sf-list-request", "sf-sync-request", "sf-reopen-request"}) {
    CHECK(auditLine(golden(name), AUDIT_ALLOW) == nullptr);
  }
  CHECK(auditLine("bad"_kj.asBytes(), AUDIT_ALLOW) == nullptr);
}

}  // namespace
}  // namespace nexus::sf
