#pragma once
// nexusctl bus ping: round trips through the encrypted session with one peer; waits for the session while it is being
// made.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newBusPingCommand();

}  // namespace nexus::ctl
