#pragma once
// nexusctl policy diff: what other nodes may do under one policy and not under another: two configuration files, or the
// running dsoftbusd and a file. In effect, not in text.
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Own<Command> newPolicyDiffCommand();

}  // namespace nexus::ctl
