#pragma once
// Do the packets agree with the markers of two guests? A session that the markers claim must have been on the link:
// announcements both ways, a TCP handshake on a session port, and nothing readable of what was asked. Pure.
#include "tools/vmtest/capture.h"

namespace nexus::vmtest {

// What the selftest asks the other node for. None of it may be readable on a session's TCP connection.
constexpr kj::StringPtr ASKED_FOR[] = {"bundlemgrd"_kj, "keystored"_kj, "samgrd"_kj};

// One sentence about what is wrong; null when the packets bear the markers out. captures: one per node, of a run that
// reached its end.
kj::Maybe<kj::String> wireContradiction(kj::ArrayPtr<const Capture* const> captures);

}  // namespace nexus::vmtest
