#pragma once
// All commands of nexusctl, and the way from a command line to a report. Owned by nobody: makes a fresh tree for each
// run. Knows no socket and no terminal; tests run it in their own process.
#include <kj/vector.h>

#include "libs/nexus-net-os/base/entropy.h"
#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::Vector<kj::Own<Command>> allCommands(Entropy& entropy);

struct Result {
  Exit exit;
  kj::String out, err;
};

// args: without the program's name. entropy: for new keys. Never fails: whatever goes wrong is a result.
kj::Promise<Result> execute(kj::Array<kj::String> args, Doors& doors, Entropy& entropy);

}  // namespace nexus::ctl
