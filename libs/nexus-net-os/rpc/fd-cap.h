#pragma once
// A file descriptor as a capability (idl Fd), both ends. The serving side owns its descriptor; the receiving side gets
// a duplicate of what came over the Unix socket. Knows nothing of what the descriptor is.
#include <kj/io.h>

#include "idl/common.capnp.h"

namespace nexus {

idl::Fd::Client newFdCap(kj::AutoCloseFd fd);

// The descriptor behind `cap`, close-on-exec, now the caller's. FAILED when the capability carries none, for instance
// because the connection is not a Unix socket.
kj::Promise<kj::AutoCloseFd> takeFd(idl::Fd::Client cap);

}  // namespace nexus
