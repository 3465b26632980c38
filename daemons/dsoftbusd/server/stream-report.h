#pragma once
// The open streams of a session in the form of the schema, for people who ask why one does not move. Reads the mux
// core; changes nothing. Pure.
#include "daemons/dsoftbusd/mux/mux-core.h"
#include "idl/dsoftbus.capnp.h"

namespace nexus {

// By rising id; at most as many as fit into one session.
void reportStreams(const MuxCore& core, idl::DSoftBus::StreamsResults::Builder results);

}  // namespace nexus
