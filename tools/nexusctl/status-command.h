#pragma once
// nexusctl status: health, uptime and counters of every daemon of this node. Asks all of them at once, each for at most
// --timeout; one that does not answer hides no other.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newStatusCommand();

}  // namespace nexus::ctl
