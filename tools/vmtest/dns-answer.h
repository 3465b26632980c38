#pragma once
// The answer to one DNS query, for a guest's UDP probe: an A record for the one name the harness knows, NXDOMAIN for
// any other, silence for what is no query (RFC 1035). Pure. No resolver: it exists because the host's own may not.
#include <kj/array.h>

namespace nexus::vmtest {

// The reply to `query`, or null when it is not a query with exactly one question of class IN.
kj::Maybe<kj::Array<kj::byte>> answerDns(kj::ArrayPtr<const kj::byte> query);

}  // namespace nexus::vmtest
