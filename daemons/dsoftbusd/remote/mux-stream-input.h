#pragma once
// The reading end of a MuxStream capability as a kj::AsyncInputStream, for programs that are clients of dsoftbusd.
// Reads as it is read from, so that the stream's credit holds the peer back. Dropping it lets go of the capability.
#include <kj/async-io.h>

#include "idl/dsoftbus.capnp.h"

namespace nexus {

kj::Own<kj::AsyncInputStream> newMuxStreamInput(idl::MuxStream::Client stream);

}  // namespace nexus
