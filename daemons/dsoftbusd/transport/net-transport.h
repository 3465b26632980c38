#pragma once
// Sessions over TCP of the node's own stack: Transport and Acceptor on a NetworkManager. The bytes of a connection go
// through a descriptor (TcpSocket.openStream) where the stack has one to give, else through the socket's send and recv
// calls (a stack that says UNIMPLEMENTED: one in memory, one on the host's sockets). Owned by dsoftbusd for as long as
// one netstackd lives; when that dies every call fails as DISCONNECTED and every descriptor is at its end.
#include "daemons/dsoftbusd/transport/transport.h"
#include "idl/net.capnp.h"

namespace nexus {

// lowLevel: takes the descriptors, outlives all streams; `net` must come over a Unix socket or be in this process.
// Without it the bytes go through calls.
kj::Own<Transport> newNetTransport(idl::NetworkManager::Client net,
                                   kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel = nullptr);

kj::Own<Acceptor> newNetAcceptor(idl::TcpListener::Client listener,
                                 kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel = nullptr);

// "connection refused", "denied by the network policy": a clause for people.
kj::StringPtr outcomeText(idl::Outcome outcome);

}  // namespace nexus
