#pragma once
// dsoftbusd as a process: its settings, its imports (net, samgr, bundlemgr; packagefs and statefs if it was given them)
// and exports (bus, bus-admin, status-dsoftbusd), the sandbox, the markers, SIGHUP.
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"

namespace nexus {

// What --check says: FAILED as wrong configuration, like the start, also on an identity file, a schema or a trust file
// that cannot be used. Changes nothing on the disk; what is wrong with the audit file, the start tells.
void checkDsoftbusd(config::Dsoftbusd::Reader config);

// Runs until it fails; a configuration that makes no sense fails with one sentence.
kj::Promise<void> serveDsoftbusd(DaemonContext& daemon, config::Dsoftbusd::Reader config);

}  // namespace nexus
