#pragma once
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newBusStreamsCommand();

}  // namespace nexus::ctl
