#pragma once
// The driver daemon: picks the backend, opens the link, enters the sandbox, serves Nic and Status, and moves frames
// until its device is spent. Knows nothing of command lines or sockets beyond their names.
//
// Exit status: 0 stopped by a signal; 1 failed; 3 the device's memory belonged to a client that is gone (vfio): start
// it again.
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"

namespace nexus {

constexpr int EXIT_DEVICE_SPENT = 3;

// What --check says: FAILED as wrong configuration, like the start, on values that no machine could use. Whether the
// device, the interface or the path is there, the start tells.
void checkVirtionetd(config::Virtionetd::Reader config);

kj::Promise<void> runVirtionetd(DaemonContext& context, config::Virtionetd::Reader config);

}  // namespace nexus
