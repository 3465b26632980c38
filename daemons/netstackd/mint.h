#pragma once
// A capability as a connected Unix socket: one end is served here, the other is a descriptor to hand to another
// process, whose bootstrap object is that capability. Dropping the handle ends the connection and with it everything
// that was made through it, which is how the grant is revoked: to the other process every capability fails as
// DISCONNECTED. Knows nothing of networking.
#include <kj/async-io.h>
#include <kj/io.h>

#include "daemons/netstackd/client-quota.h"
#include "idl/common.capnp.h"

namespace nexus {

struct Minted {
  kj::AutoCloseFd socket;
  idl::Handle::Client revoke;
};

// `capability` is dropped when the connection ends, from either side; `ticket` when `revoke` is dropped.
Minted mintSocket(kj::LowLevelAsyncIoProvider& lowLevel, capnp::Capability::Client capability,
                  ClientQuota::Ticket ticket);

}  // namespace nexus
