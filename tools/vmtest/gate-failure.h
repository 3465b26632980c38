#pragma once
// Why one of the phases perf, soak and chaos has failed, already with its exit status. Knows nothing of the rest of a
// run.
#include <kj/string.h>

#include "libs/nexus-net-os/daemon/status-command.h"

namespace nexus::vmtest {

struct GateFailure {
  int exit;
  kj::byte node;
  kj::String what;  // one sentence for a person
};

// What is to be told to a guest.
struct GuestCommand {
  kj::byte node;
  StatusCommand command;
};

}  // namespace nexus::vmtest
