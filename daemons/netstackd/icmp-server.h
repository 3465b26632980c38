#pragma once
// IcmpEcho as a capability: echo requests through the one ICMP endpoint of the client's session, so that holding many
// of these costs no more than holding one. Policy was asked before it is made.
#include "daemons/netstackd/client-session.h"

namespace nexus {

class IcmpEchoImpl final : public idl::IcmpEcho::Server {
 public:
  explicit IcmpEchoImpl(kj::Own<ClientSession> session) : session(kj::mv(session)) {}

  kj::Promise<void> ping(PingContext context) override;

 private:
  kj::Own<ClientSession> session;
};

}  // namespace nexus
