#include "daemons/netstackd/listen-authority.h"

#include "daemons/netstackd/tcp-server.h"

namespace nexus {

Listening listenTcp(ClientSession& session, SocketAddress local, uint16_t backlog) {
  auto ticket = session.quota().take(ClientQuota::Kind::TCP_LISTENER);
  auto result = TcpListener::listen(session.node().stack, local, backlog);
  if (result.outcome != idl::Outcome::OK) return {result.outcome, nullptr, local};
  session.counters().listeners++;
  auto bound = result.listener->localAddress();
  idl::TcpListener::Client client =
      kj::heap<TcpListenerImpl>(kj::addRef(session), kj::mv(result.listener), kj::mv(ticket));
  return {idl::Outcome::OK, kj::mv(client), bound};
}

kj::Promise<void> TcpListenAuthorityImpl::listen(ListenContext context) {
  auto listening = listenTcp(*session, local, context.getParams().getBacklog());
  auto results = context.getResults();
  results.setOutcome(listening.outcome);
  KJ_IF_MAYBE (listener, listening.listener) results.setListener(kj::mv(*listener));
  return kj::READY_NOW;
}

}  // namespace nexus
