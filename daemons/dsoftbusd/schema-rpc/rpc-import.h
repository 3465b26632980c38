#pragma once
// A service of another node as a capability of this one: every call on it is forwarded through a stream of the session
// if its parameters are plain data, and so is the answer. Whatever the interface is; nothing here is written for one
// service. Owned by its references: the last one ends the stream.
#include <kj/timer.h>

#include "daemons/dsoftbusd/schema-rpc/rpc-connection.h"

namespace nexus {

// Bytes of the words of a peer, or of what went wrong on the way to it, in the failure of a call.
constexpr size_t RPC_MAX_FAILURE_TEXT = 1024;

// stream: taken by the peer of that name. timer outlives all references.
capnp::Capability::Client newRemoteService(kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer, kj::StringPtr peer,
                                           const RpcStreamLimits& limits = {});

// The service ("rpc:samgr") in the name of a stream for calls ("rpc:samgr#i7", Mux::uniqueName); null when it is none.
kj::Maybe<kj::String> rpcServiceOfStream(kj::StringPtr streamName);

}  // namespace nexus
