#pragma once
// Why there is no session with a peer, as the report of a command.
#include "idl/dsoftbus.capnp.h"
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

// Null when there is one.
kj::Maybe<Report> sessionRefusal(idl::DSoftBus::Outcome outcome, kj::StringPtr peer);

}  // namespace nexus::ctl
