#include "daemons/netstackd/network-manager.h"

#include <kj/debug.h>

#include "daemons/netstackd/icmp-server.h"
#include "daemons/netstackd/listen-authority.h"
#include "daemons/netstackd/mint.h"
#include "daemons/netstackd/net-config.h"
#include "daemons/netstackd/tcp-server.h"
#include "daemons/netstackd/udp-server.h"
#include "libs/nexus-net-os/rpc/fd-cap.h"

namespace nexus {

using Action = NetPolicy::Action;
using Kind = ClientQuota::Kind;

idl::NetworkManager::Client newNetworkManager(NetNode& node, NetPolicy policy) {
  return kj::heap<NetworkManagerImpl>(kj::refcounted<ClientSession>(node), kj::mv(policy),
                                      NetworkManagerImpl::Role::ROOT);
}

NetworkManagerImpl::NetworkManagerImpl(kj::Own<ClientSession> session, NetPolicy policy, Role role,
                                       kj::Maybe<ClientQuota::Ticket> ticket)
    : session(kj::mv(session)), policy(kj::mv(policy)), role(role), ticket(kj::mv(ticket)) {}

NetworkManagerImpl::~NetworkManagerImpl() noexcept(false) {
  if (role == Role::ROOT) session->end();
}

bool NetworkManagerImpl::allows(Action action, const SocketAddress& target) {
  bool allowed = policy.allows(action, target);
  if (!allowed) session->counters().denied++;
  return allowed;
}

kj::Promise<void> NetworkManagerImpl::getConfig(GetConfigContext context) {
  session->requireRoomToWait(configWaiters);
  configWaiters++;
  KJ_DEFER(configWaiters--);
  auto& node = session->node();
  co_await node.stack.whenChanged(context.getParams().getKnown());
  auto config = context.getResults().initConfig();
  describeNetwork(node, config);
  session->limits().toIdl(config.initLimits());
}

kj::Promise<void> NetworkManagerImpl::createTcpListener(CreateTcpListenerContext context) {
  auto params = context.getParams();
  auto local = SocketAddress::fromIdl(params.getLocal(), IpAddress::AllowAny::YES);
  auto results = context.getResults();
  if (!allows(Action::LISTEN, local)) {
    results.setOutcome(idl::Outcome::DENIED);
    return kj::READY_NOW;
  }
  auto listening = listenTcp(*session, local, params.getBacklog());
  results.setOutcome(listening.outcome);
  KJ_IF_MAYBE (listener, listening.listener) {
    results.setListener(kj::mv(*listener));
    listening.local.toIdl(results.initLocal());
  }
  return kj::READY_NOW;
}

kj::Promise<void> NetworkManagerImpl::connectTcp(ConnectTcpContext context) {
  auto params = context.getParams();
  auto remote = SocketAddress::fromIdl(params.getRemote());
  auto local = SocketAddress::fromIdl(params.getLocal(), IpAddress::AllowAny::YES);
  // Who chooses a local port keeps others from listening on it.
  bool portAllowed = local.port == 0 || allows(Action::LISTEN, local);
  if (!portAllowed || !allows(Action::CONNECT, remote)) {
    context.getResults().setOutcome(idl::Outcome::DENIED);
    co_return;
  }
  auto ticket = session->quota().take(Kind::TCP_SOCKET);
  session->counters().connects++;
  auto result = co_await TcpConn::connect(session->node().stack, remote, local);
  context.getResults().setOutcome(result.outcome);
  if (result.outcome == idl::Outcome::OK) {
    session->counters().connected++;
    context.getResults().setSocket(kj::heap<TcpSocketImpl>(kj::addRef(*session), kj::mv(result.conn), kj::mv(ticket)));
  }
}

kj::Promise<void> NetworkManagerImpl::createUdpSocket(CreateUdpSocketContext context) {
  auto local = SocketAddress::fromIdl(context.getParams().getLocal(), IpAddress::AllowAny::YES);
  auto results = context.getResults();
  if (!allows(Action::UDP_BIND, local)) {
    results.setOutcome(idl::Outcome::DENIED);
    return kj::READY_NOW;
  }
  auto ticket = session->quota().take(Kind::UDP_SOCKET);
  auto bound = UdpConn::bind(session->node().stack, local, session->limits().udpBacklogDatagrams);
  results.setOutcome(bound.outcome);
  if (bound.outcome == idl::Outcome::OK) {
    session->counters().udpSockets++;
    bound.conn->localAddress().toIdl(results.initLocal());
    results.setSocket(kj::heap<UdpSocketImpl>(kj::addRef(*session), policy, kj::mv(bound.conn), kj::mv(ticket)));
  }
  return kj::READY_NOW;
}

kj::Promise<void> NetworkManagerImpl::createIcmpEcho(CreateIcmpEchoContext context) {
  if (policy.allowsIcmpEcho()) {
    auto ticket = session->quota().take(Kind::GRANT);
    context.getResults().setEcho(kj::heap<IcmpEchoImpl>(kj::addRef(*session), kj::mv(ticket)));
  } else {
    session->counters().denied++;
    context.getResults().setOutcome(idl::Outcome::DENIED);
  }
  return kj::READY_NOW;
}

kj::Promise<void> NetworkManagerImpl::restrict(RestrictContext context) {
  auto narrowed = policy.restrictedBy(NetPolicy::fromIdl(context.getParams().getPolicy()));
  auto ticket = session->quota().take(Kind::GRANT);
  context.getResults().setManager(
      kj::heap<NetworkManagerImpl>(kj::addRef(*session), kj::mv(narrowed), Role::NARROWED, kj::mv(ticket)));
  return kj::READY_NOW;
}

kj::Promise<void> NetworkManagerImpl::listenAuthority(ListenAuthorityContext context) {
  auto local = SocketAddress::fromIdl(context.getParams().getLocal(), IpAddress::AllowAny::YES);
  KJ_REQUIRE(local.port != 0, "an authority is for one port: 0 is none");
  if (allows(Action::LISTEN, local)) {
    auto ticket = session->quota().take(Kind::GRANT);
    context.getResults().setAuthority(kj::heap<TcpListenAuthorityImpl>(kj::addRef(*session), local, kj::mv(ticket)));
  } else {
    context.getResults().setOutcome(idl::Outcome::DENIED);
  }
  return kj::READY_NOW;
}

kj::Promise<void> NetworkManagerImpl::mint(MintContext context) {
  auto& lowLevel = KJ_UNWRAP_OR(session->node().lowLevel,
                                { return KJ_EXCEPTION(UNIMPLEMENTED, "no descriptors can be handed out here"); });
  if (!policy.allowsMint()) {
    session->counters().denied++;
    context.getResults().setOutcome(idl::Outcome::DENIED);
    return kj::READY_NOW;
  }
  auto ticket = session->quota().take(Kind::MINTED);
  session->counters().minted++;
  auto manager = kj::heap<NetworkManagerImpl>(kj::refcounted<ClientSession>(*session), policy, Role::ROOT);
  auto minted = mintSocket(lowLevel, idl::NetworkManager::Client(kj::mv(manager)), kj::mv(ticket));
  auto results = context.getResults();
  results.setSocket(newFdCap(kj::mv(minted.socket)));
  results.setRevoke(kj::mv(minted.revoke));
  return kj::READY_NOW;
}

}  // namespace nexus
