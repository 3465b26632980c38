#pragma once
// The kernel's own network, as one address of it, behind the NetworkManager interface: so that dsoftbusd and other
// users of that interface run on a development machine beside ordinary programs, without a device and without root. No
// isolation, no stack of ours, none of netstackd's limits per client; never part of a node that matters. Owned by the
// tool's main. `any` as a local address means the one address. Not there, and answered so: groups, broadcast, ICMP,
// names, traces, restrict, mint, close of listeners and datagram sockets (dropping them closes them).
#include <kj/async-io.h>

#include "idl/net.capnp.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

// network outlives the capability.
idl::NetworkManager::Client newHostNetwork(kj::Network& network, IpAddress address);

}  // namespace nexus
