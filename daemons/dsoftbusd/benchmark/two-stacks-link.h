#pragma once
// For benchmarks: TCP between two nodes, each with a netstackd of its own in a process of its own, as on two machines.
// The connecting end uses the first, the accepting end the second; each reaches it as a program does, through a socket.
#include "daemons/dsoftbusd/benchmark/benchmark-support.h"

namespace nexus {

// Makes two processes, which end with the link. No other thread may run yet.
kj::Own<Link> newTwoStacksLink(Bytes bytes);

}  // namespace nexus
