#pragma once
// IcmpEcho as a capability: echo requests through the one ICMP endpoint of the client's session, so that holding many
// of these costs no more than holding one. Policy was asked before it is made.
#include "daemons/netstackd/client-session.h"

namespace nexus {

class IcmpEchoImpl final : public idl::IcmpEcho::Server {
 public:
  IcmpEchoImpl(kj::Own<ClientSession> session, ClientQuota::Ticket ticket)
      : session(kj::mv(session)), ticket(kj::mv(ticket)) {}

  kj::Promise<void> ping(PingContext context) override;

 private:
  kj::Own<ClientSession> session;
  ClientQuota::Ticket ticket;
};

}  // namespace nexus
