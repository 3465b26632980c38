#pragma once
// packagefsd as a service for other nodes: what its PK frames are called in a rule, which of them this node refuses by
// itself, and what a reply to one is. Pure. The codec is libs/oslite-frames.
#include <kj/array.h>
#include <kj/string.h>

#include "daemons/dsoftbusd/remote/reply-verdict.h"

namespace nexus {

// "stat", "open", "read", "close".
kj::ArrayPtr<const kj::StringPtr> packagefsOperations();

// By the op alone; null without a PK header or with an unknown op.
kj::Maybe<kj::StringPtr> packagefsOperation(kj::ArrayPtr<const kj::byte> frame);

// The bare status that answers a request whose path or length is beyond the rules; null when it may be forwarded.
kj::Maybe<kj::Array<kj::byte>> packagefsRefusal(kj::ArrayPtr<const kj::byte> frame);

// request: one that may be forwarded.
ReplyVerdict judgePackagefsReply(kj::ArrayPtr<const kj::byte> request, kj::ArrayPtr<const kj::byte> reply);

}  // namespace nexus
