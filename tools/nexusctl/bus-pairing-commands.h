#pragma once
// `bus pair`, `bus unpair`, `bus trusted`: whom this node trusts, shown and changed while it runs, over the socket
// bus-trust.sock.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newBusPairCommand();
kj::Own<Command> newBusUnpairCommand();
kj::Own<Command> newBusRekeyCommand();
kj::Own<Command> newBusTrustedCommand();

}  // namespace nexus::ctl
