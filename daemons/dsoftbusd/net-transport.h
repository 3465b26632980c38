#pragma once
// Sessions over TCP of the node's own stack: Transport and Acceptor on a NetworkManager, with the socket's send and
// recv calls as the byte stream. Owned by dsoftbusd for as long as one netstackd lives; everything in it fails as
// DISCONNECTED when that dies.
#include "daemons/dsoftbusd/transport.h"
#include "idl/net.capnp.h"

namespace nexus {

kj::Own<Transport> newNetTransport(idl::NetworkManager::Client net);

kj::Own<Acceptor> newNetAcceptor(idl::TcpListener::Client listener);

// "connection refused", "denied by the network policy": a clause for people.
kj::StringPtr outcomeText(idl::Outcome outcome);

}  // namespace nexus
