#pragma once
// What another node may ask of this node's statefs: a pure judgement over one SF request frame. Only keys under
// /state/shared/, small values, no REOPEN, no transactions. Used by the remote proxy; knows nothing of who asks beyond
// "authenticated", and nothing of policy: a request that passes here still needs a rule.
#include <kj/string.h>

#include "libs/oslite-frames/statefs-frames.h"

namespace nexus::sf {

constexpr kj::StringPtr REMOTE_PREFIX = "/state/shared/"_kj;
constexpr size_t MAX_REMOTE_FRAME_BYTES = 256;
constexpr size_t MAX_REMOTE_KEY_BYTES = 96;
constexpr size_t MAX_REMOTE_VALUE_BYTES = 128;
constexpr uint16_t MAX_REMOTE_LIST_LIMIT = 64;
constexpr size_t MAX_REMOTE_REPLY_BYTES = 512;

enum class GateReject : uint8_t { BAD_REQUEST, UNAUTHENTICATED, OUTSIDE_ACL, PREFIX_ESCAPE, OVERSIZED };

// The request, or why not. Checks in this order:
//   not authenticated                                       UNAUTHENTICATED
//   empty frame                                             BAD_REQUEST
//   more than 256 bytes                                     OVERSIZED
//   does not decode: KEY_TOO_LONG, VALUE_TOO_LARGE          OVERSIZED
//                    INVALID_KEY                            PREFIX_ESCAPE
//                    anything else, and REOPEN              BAD_REQUEST
//   an empty LIST prefix; a key or prefix above 96 bytes    BAD_REQUEST; OVERSIZED
//   NUL or backslash anywhere; "//", "/./", "/../" in it;
//   "/." or "/.." at its end                                PREFIX_ESCAPE
//   not under /state/shared/                                OUTSIDE_ACL
//   PUT, GET or DEL of the bare prefix                      OUTSIDE_ACL
//   an empty value; a value above 128 bytes or a LIST       BAD_REQUEST; OVERSIZED
//   limit above 64
kj::OneOf<Request, GateReject> checkRemote(bool authenticated, kj::ArrayPtr<const kj::byte> frame);

// ACCESS_DENIED, INVALID_KEY, VALUE_TOO_LARGE or MALFORMED.
Status statusOf(GateReject reject);

// The 5 bytes that refuse the request: the form of version 1 whatever was asked, its op echoed, or op byte 0x80 when it
// has no header.
kj::Array<kj::byte> encodeReject(kj::ArrayPtr<const kj::byte> frame, GateReject reject);

// How an audit line ends.
constexpr kj::StringPtr AUDIT_ALLOW = "allow"_kj;
constexpr kj::StringPtr AUDIT_REJECT_STATUS = "reject status"_kj;  // the gate let it pass, the store said no
kj::StringPtr auditSuffix(GateReject reject);                      // "reject outside_acl"

// "dsoftbusd: audit remote statefs put allow". Changes are audited, questions are not: null for every op but PUT and
// DEL, and for a frame without a header.
kj::Maybe<kj::String> auditLine(kj::ArrayPtr<const kj::byte> frame, kj::StringPtr suffix);

}  // namespace nexus::sf
