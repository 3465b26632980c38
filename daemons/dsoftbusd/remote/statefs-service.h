#pragma once
// statefsd as a service for other nodes: what its SF frames are called in a rule, which of them the gate
// (libs/oslite-frames/statefs-gate.h) refuses, what a reply to one is, and the line that tells of a change. Pure.
#include <kj/array.h>
#include <kj/string.h>

#include "daemons/dsoftbusd/remote/reply-verdict.h"

namespace nexus {

// "put", "get", "del", "list", "sync". REOPEN is known as "reopen" and offered to nobody; transactions are unknown.
kj::ArrayPtr<const kj::StringPtr> statefsOperations();

// By the op alone; null without a whole SF header or with an unknown op.
kj::Maybe<kj::StringPtr> statefsOperation(kj::ArrayPtr<const kj::byte> frame);

// What the gate answers to a request that it does not let pass; null when it may be forwarded.
kj::Maybe<kj::Array<kj::byte>> statefsRefusal(kj::ArrayPtr<const kj::byte> frame);

// request: one that may be forwarded. A reply has the version and nonce of its request, and a list holds no more keys
// than were asked for, none of them without the prefix.
ReplyVerdict judgeStatefsReply(kj::ArrayPtr<const kj::byte> request, kj::ArrayPtr<const kj::byte> reply);

// "dsoftbusd: audit remote statefs put allow". verdict: null when the gate refused. Null for all but PUT and DEL.
kj::Maybe<kj::String> statefsAuditLine(kj::ArrayPtr<const kj::byte> request, kj::Maybe<ReplyVerdict> verdict);

}  // namespace nexus
