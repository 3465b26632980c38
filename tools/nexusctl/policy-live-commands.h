#pragma once
// nexusctl policy reload and policy mode: what a running dsoftbusd decides by, changed. They go through the socket
// bus-admin, which belongs to whoever administers the node, not through that of the bus.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newPolicyReloadCommand();
kj::Own<Command> newPolicyModeCommand();

}  // namespace nexus::ctl
