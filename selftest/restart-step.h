#pragma once
// The step that kills the driver under a TCP transfer: sends a known pattern to the host's peer, has virtionetd killed
// in the middle of it, and compares what the peer says it got. Owned by Selftest. Knows the supervisor and a
// NetworkManager, not how either restarts.
#include <kj/async.h>

#include "idl/net.capnp.h"
#include "idl/supervisor.capnp.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

struct RestartTransfer {
  uint64_t bytes = 4 << 20;
  uint64_t killAfter = 1 << 20;  // bytes that the stack has taken when the driver is killed
};

// Resolves when all bytes have arrived intact although the driver was started again in between.
kj::Promise<void> driverRestart(idl::NetworkManager::Client net, idl::Supervisor::Client supervisor, SocketAddress peer,
                                RestartTransfer transfer = {});

}  // namespace nexus
