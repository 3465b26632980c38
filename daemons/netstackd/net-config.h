#pragma once
// What the network of this node looks like right now, as the schema's NetConfig and as one sentence. Reads the stack;
// changes nothing.
#include <kj/string.h>

#include "daemons/netstackd/net-node.h"

namespace nexus {

// Everything but the limits, which are the client's.
void describeNetwork(NetNode& node, idl::NetConfig::Builder config);

// "10.0.2.15/24 gw 10.0.2.2 by dhcp, link up"; "no address yet, link down: driver away".
kj::String networkSentence(NetNode& node);

}  // namespace nexus
