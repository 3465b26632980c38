#pragma once
// A listening Unix socket that exactly one user may connect to. Made by initd before any service runs, and kept for as
// long as the node lives, so that a client of a restarted service waits in the backlog instead of failing.
#include <kj/io.h>
#include <kj/string.h>

#include "daemons/initd/service.h"

namespace nexus {

// 0600 and owned by `client` before anybody can connect. FAILED in a sentence naming the path.
kj::AutoCloseFd listenFor(kj::StringPtr path, ServiceUid client);

}  // namespace nexus
