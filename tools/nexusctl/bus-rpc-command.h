#pragma once
// nexusctl bus rpc: one call of a method that a peer offers by its schema (docs/distributed/schema-rpc.md), with
// parameters and results as JSON.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newBusRpcCommand();

}  // namespace nexus::ctl
