#pragma once
// nexusctl policy show and policy check: the policy of a configuration file as dsoftbusd would take it, or the first
// thing that is wrong with it; show asks the running dsoftbusd when no file is given.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newPolicyShowCommand();
kj::Own<Command> newPolicyCheckCommand();

}  // namespace nexus::ctl
