#pragma once
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newBusReadCommand();

}  // namespace nexus::ctl
