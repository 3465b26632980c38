#pragma once
// A listening Unix socket at a path, for this user alone. A socket that is there already is taken over only when nobody
// answers on it: what a process that is gone has left.
#include <kj/io.h>
#include <kj/string.h>

namespace nexus {

constexpr size_t MAX_SOCKET_PATH = 107;  // bytes: unix(7), sun_path without its ending zero

// Does not block, and is closed on exec. FAILED, with a sentence, when the path is empty or too long, when another
// process answers there, or when it cannot be bound. To find out it connects: whoever serves there sees a connection
// that ends at once.
kj::AutoCloseFd listenUnix(kj::StringPtr path, int backlog);

}  // namespace nexus
