#pragma once
// nexusctl bus fetch-image: the bundle image of a peer as a file, which is there whole and verified or not at all.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newBusFetchImageCommand();

}  // namespace nexus::ctl
