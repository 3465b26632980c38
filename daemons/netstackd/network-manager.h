#pragma once
// The NetworkManager capability: asks policy and quota, then makes listeners, connections and sockets on the stack. One
// root per client (connection or minted socket); restrict() makes narrower ones that share the root's session. Owned by
// the RPC system of the client. Knows nothing of how a client came to hold it.
#include "daemons/netstackd/client-session.h"
#include "daemons/netstackd/net-policy.h"

namespace nexus {

// The network for one more client. Dropping the last reference ends the client's session.
idl::NetworkManager::Client newNetworkManager(NetNode& node, NetPolicy policy);

class NetworkManagerImpl final : public idl::NetworkManager::Server {
 public:
  enum class Role {
    ROOT,      // ends the session when it goes
    NARROWED,  // made by restrict()
  };
  NetworkManagerImpl(kj::Own<ClientSession> session, NetPolicy policy, Role role,
                     kj::Maybe<ClientQuota::Ticket> ticket = nullptr);
  ~NetworkManagerImpl() noexcept(false);

  kj::Promise<void> getConfig(GetConfigContext context) override;
  kj::Promise<void> createTcpListener(CreateTcpListenerContext context) override;
  kj::Promise<void> connectTcp(ConnectTcpContext context) override;
  kj::Promise<void> createUdpSocket(CreateUdpSocketContext context) override;
  kj::Promise<void> createIcmpEcho(CreateIcmpEchoContext context) override;
  kj::Promise<void> restrict(RestrictContext context) override;
  kj::Promise<void> listenAuthority(ListenAuthorityContext context) override;
  kj::Promise<void> mint(MintContext context) override;
  // createDnsResolver and createPacketTrace stay UNIMPLEMENTED, as the contract says.

 private:
  kj::Own<ClientSession> session;
  NetPolicy policy;
  Role role;
  kj::Maybe<ClientQuota::Ticket> ticket;  // a narrowed one's place
  size_t configWaiters = 0;

  bool allows(NetPolicy::Action action, const SocketAddress& target);
};

}  // namespace nexus
