#pragma once
// Two connected Unix stream sockets, for handing one end to another process. A value; owns its descriptors.
#include <kj/io.h>

namespace nexus {

struct SocketPair {
  kj::AutoCloseFd ends[2];  // close-on-exec, blocking
};

SocketPair newSocketPair();

}  // namespace nexus
