#pragma once
// The bytes of one TCP connection through one Unix socket, both ways, with back-pressure both ways: what the client
// does not read stays in the stack's window, what the network does not take stays in the socket. Run by a
// ClientSession. Knows nothing of RPC.
//
//   client's end                     network
//   shutdown(SHUT_WR)           ->   FIN, after everything written
//   end of file                 <-   FIN
//   closed                      ->   what was written is sent, then FIN; what arrives later is discarded;
//                                    RST after NetLimits.streamLingerMs, if the peer has not taken it
//   end of file, writes fail    <-   reset, timed out
#include <kj/async-io.h>

#include "daemons/netstackd/client-quota.h"
#include "daemons/netstackd/net-node.h"
#include "libs/nexus-net-os/stack/tcp-conn.h"

namespace nexus {

// A connection and its place in the quota, held by the socket capability and by the pump: it closes when both have
// gone.
class SharedConn final : public kj::Refcounted {
 public:
  SharedConn(kj::Own<TcpConn> conn, ClientQuota::Ticket ticket) : conn(kj::mv(conn)), ticket(kj::mv(ticket)) {}
  TcpConn& operator*() { return *conn; }
  TcpConn* operator->() { return conn; }

 private:
  kj::Own<TcpConn> conn;
  ClientQuota::Ticket ticket;
};

// Moves what was received, as much as fits; returns how much. Opens the window.
size_t takeReceived(TcpConn& conn, kj::ArrayPtr<kj::byte> out);

// Until both directions have ended, the connection or the client's end is gone, or the client's end was closed and the
// linger limit has passed.
// `stream` is a Unix socket.
kj::Promise<void> pumpStream(kj::Own<NetNode> node, kj::Own<SharedConn> conn, kj::Own<kj::AsyncIoStream> stream);

}  // namespace nexus
