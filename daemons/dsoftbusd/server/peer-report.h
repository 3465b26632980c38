#pragma once
// Every peer of a node and why it is in its state: those of the trust table, with their sessions, and whoever else is
// heard on the links. A view of bus and discovery for local programs; owns and decides nothing.
#include "daemons/dsoftbusd/bus/bus.h"
#include "daemons/dsoftbusd/discovery/discovery.h"
#include "idl/dsoftbus.capnp.h"

namespace nexus {

// The trusted peers in the order of the table, then strangers and ignored devices, the one heard last first.
void reportPeers(Bus& bus, const Discovery& discovery, kj::TimePoint now, idl::DSoftBus::PeersResults::Builder results);

}  // namespace nexus
