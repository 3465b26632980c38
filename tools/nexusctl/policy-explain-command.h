#pragma once
// nexusctl policy explain: why a call is allowed or denied, asked as a question or by the id of an audit record.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newPolicyExplainCommand();

}  // namespace nexus::ctl
