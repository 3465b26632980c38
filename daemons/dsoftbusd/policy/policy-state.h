#pragma once
// idl PolicyState: what decides on a node, as a message. Pure.
#include "daemons/dsoftbusd/server/policy-explain.h"

namespace nexus {

// table.live must be there.
void fillPolicyState(const PolicyTable& table, idl::PolicyState::Builder out);

}  // namespace nexus
