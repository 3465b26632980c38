#pragma once
// nexusctl audit tail: what was decided about calls of other nodes, oldest first. Says when records are missing.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newAuditTailCommand();

}  // namespace nexus::ctl
