#pragma once
// idl BusAdmin over LiveConfig: for whoever may change what a running node decides by. One object for each client.
// Owned by the RPC system; live outlives it.
#include "daemons/dsoftbusd/policy/live-config.h"

namespace nexus {

idl::BusAdmin::Client newBusAdminServer(LiveConfig& live);

}  // namespace nexus
