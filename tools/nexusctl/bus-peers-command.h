#pragma once
// nexusctl bus peers: every peer that this node knows or has heard, the state of its session and why it is so.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newBusPeersCommand();

}  // namespace nexus::ctl
