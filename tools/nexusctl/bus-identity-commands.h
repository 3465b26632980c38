#pragma once
// nexusctl bus keygen, bus id, bus trust: a node's identity file made, read, and told to the peers that shall trust it.
// The seed is written to the file and nowhere else. These ask no daemon.
#include "libs/nexus-net-os/base/entropy.h"
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newBusKeygenCommand(Entropy& entropy);
kj::Own<Command> newBusRotateCommand(Entropy& entropy);
kj::Own<Command> newBusIdCommand();
kj::Own<Command> newBusTrustCommand();

}  // namespace nexus::ctl
