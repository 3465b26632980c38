#pragma once
// UdpSocket as a capability over a bound port of the stack. Owned by the RPC system of the client that holds it;
// dropping the last reference closes the port. Asks the policy for every datagram it sends and every group it joins.
#include "daemons/netstackd/client-session.h"
#include "daemons/netstackd/net-policy.h"
#include "libs/nexus-net-os/base/wait-queue.h"
#include "libs/nexus-net-os/stack/udp-conn.h"

namespace nexus {

class UdpSocketImpl final : public idl::UdpSocket::Server {
 public:
  UdpSocketImpl(kj::Own<ClientSession> session, NetPolicy policy, kj::Own<UdpConn> conn, ClientQuota::Ticket ticket);

  kj::Promise<void> sendTo(SendToContext context) override;
  kj::Promise<void> recvFrom(RecvFromContext context) override;
  // To join is to receive: the policy for binding decides, with the group as address and the bound port.
  kj::Promise<void> joinGroup(JoinGroupContext context) override;
  kj::Promise<void> close(CloseContext context) override;

 private:
  kj::Own<ClientSession> session;
  NetPolicy policy;
  kj::Maybe<kj::Own<UdpConn>> conn;  // null once closed
  kj::Maybe<ClientQuota::Ticket> ticket;
  WaitQueue receivers;

  UdpConn& open();
};

}  // namespace nexus
