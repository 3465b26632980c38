#pragma once
// What must hold on a machine of a fleet at every moment, whatever happens around it: every table, queue and counter
// within its documented bound, states that agree with each other. Reads only what the daemon shows. What must hold for
// calls, streams and the wire is checked where it happens (fleet-ledger, fleet-wire).
#include "tests/sim/fleet-node.h"

namespace nexus {

// The numbers are those of the documentation, not those of the code: a bound that is raised by mistake is found.
struct FleetBounds {
  size_t halfOpen = 32, halfOpenOfOneSource = 4;
  size_t heardPeers = 16;
  size_t auditRecords = 1024;
  size_t streams = 128;
  size_t acceptBacklog = 32;
  size_t refusedStreams = 128;
  size_t streamBuffer = 262144;  // bytes, each direction
};

// Null when all is well, else what is wrong.
kj::Maybe<kj::String> checkMux(const MuxCore& core, const FleetBounds& bounds = {});

void checkMachine(FleetNode& node, FleetTrace& trace, const FleetBounds& bounds = {});

}  // namespace nexus
