#pragma once
// The MuxStream capability: one end of a stream of a session, for a local program. Calls of one kind are done in the
// order in which they came; dropping the capability lets go of the stream (mux/mux.h says what that means). Knows
// nothing of the session.
#include "daemons/dsoftbusd/mux/mux.h"
#include "idl/dsoftbus.capnp.h"

namespace nexus {

constexpr size_t MUX_MAX_CALL_DATA = 65536;     // bytes of one write or read
constexpr kj::uint MUX_MAX_WAITING_CALLS = 16;  // of one kind on one stream; one more is OVERLOADED

idl::MuxStream::Client newMuxStreamServer(kj::Own<MuxStream> stream);

// What became of opening a stream.
idl::PeerSession::StreamOutcome streamOutcome(MuxResetReason reason);

}  // namespace nexus
