#pragma once
// The right to listen on one address and port, and the one way a TcpListener is made. Policy was asked before the
// authority is made; the quota is asked at each listen.
#include "daemons/netstackd/client-session.h"

namespace nexus {

struct Listening {
  idl::Outcome outcome;
  kj::Maybe<idl::TcpListener::Client> listener;  // null unless ok
  SocketAddress local;                           // the port the stack chose, if it was asked to
};

// OVERLOADED when the client holds as many listeners as it may or the stack has no block free.
Listening listenTcp(ClientSession& session, SocketAddress local, uint16_t backlog);

class TcpListenAuthorityImpl final : public idl::TcpListenAuthority::Server {
 public:
  TcpListenAuthorityImpl(kj::Own<ClientSession> session, SocketAddress local, ClientQuota::Ticket ticket)
      : session(kj::mv(session)), local(local), ticket(kj::mv(ticket)) {}

  kj::Promise<void> listen(ListenContext context) override;

 private:
  kj::Own<ClientSession> session;
  SocketAddress local;
  ClientQuota::Ticket ticket;
};

}  // namespace nexus
