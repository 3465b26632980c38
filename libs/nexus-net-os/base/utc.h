#pragma once
// Points in time as people and files write them: UTC, RFC 3339. Pure; reads no clock.
#include <kj/string.h>
#include <kj/time.h>

namespace nexus {

// "2026-11-20T14:05:06.789Z": always milliseconds, cut, not rounded. For years 0 to 9999.
kj::String utcText(kj::Date date);

// "2026-12-01T00:00:00Z": whole seconds, nothing else. Null for anything else, impossible dates too, and
// outside 1970 to 2261.
kj::Maybe<kj::Date> tryParseUtc(kj::StringPtr text);

// The form that tryParseUtc() reads, cut to the second.
kj::String utcSecondsText(kj::Date date);

}  // namespace nexus
