#pragma once
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

// Questions to a peer's samgrd and bundlemgrd, one frame each.
kj::Own<Command> newBusResolveCommand();
kj::Own<Command> newBusListCommand();
kj::Own<Command> newBusQueryCommand();

}  // namespace nexus::ctl
