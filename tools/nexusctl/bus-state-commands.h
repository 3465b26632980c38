#pragma once
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

// Values that a peer shares (its statefsd, the keys below /state/shared/), one frame each.
kj::Own<Command> newBusStateGetCommand();
kj::Own<Command> newBusStatePutCommand();
kj::Own<Command> newBusStateListCommand();
kj::Own<Command> newBusStateDeleteCommand();

}  // namespace nexus::ctl
