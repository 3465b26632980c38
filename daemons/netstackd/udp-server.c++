#include "daemons/netstackd/udp-server.h"

#include <kj/debug.h>

namespace nexus {

UdpSocketImpl::UdpSocketImpl(kj::Own<ClientSession> session, NetPolicy policy, kj::Own<UdpConn> conn,
                             ClientQuota::Ticket ticket)
    : session(kj::mv(session)), policy(kj::mv(policy)), conn(kj::mv(conn)), ticket(kj::mv(ticket)) {}

kj::Promise<void> UdpSocketImpl::sendTo(SendToContext context) {
  auto params = context.getParams();
  auto to = SocketAddress::fromIdl(params.getTo());
  auto data = params.getData();
  KJ_REQUIRE(data.size() <= UdpConn::MAX_PAYLOAD, "a datagram is at most 65507 bytes", data.size());
  auto& udp = open();
  if (policy.allows(NetPolicy::Action::UDP_SEND, to)) {
    context.getResults().setOutcome(udp.sendTo(to, data));
  } else {
    session->counters().denied++;
    context.getResults().setOutcome(idl::Outcome::DENIED);
  }
  return kj::READY_NOW;
}

kj::Promise<void> UdpSocketImpl::recvFrom(RecvFromContext context) {
  session->requireRoomToWait(receivers.size());
  WaitQueue::Turn turn(receivers);
  for (;;) {
    if (!turn.isFirst()) {
      co_await turn.wait();
      continue;
    }
    auto& udp = open();
    auto received = udp.tryReceive();
    KJ_IF_MAYBE (datagram, received) {
      auto results = context.getResults();
      datagram->from.toIdl(results.initFrom());
      results.setData(datagram->data);
      co_return;
    }
    co_await udp.whenReceivable();
  }
}

kj::Promise<void> UdpSocketImpl::joinGroup(JoinGroupContext context) {
  auto group = IpAddress::fromIdl(context.getParams().getGroup());
  KJ_REQUIRE(group.isMulticast(), "not a multicast group", group);
  auto& udp = open();
  if (policy.allows(NetPolicy::Action::UDP_BIND, {group, udp.localAddress().port})) {
    context.getResults().setOutcome(udp.joinGroup(group));
  } else {
    session->counters().denied++;
    context.getResults().setOutcome(idl::Outcome::DENIED);
  }
  return kj::READY_NOW;
}

kj::Promise<void> UdpSocketImpl::close(CloseContext) {
  conn = nullptr;  // the call that waits in it fails as DISCONNECTED, and lets the next one look
  ticket = nullptr;
  return kj::READY_NOW;
}

UdpConn& UdpSocketImpl::open() {
  KJ_IF_MAYBE (c, conn) return **c;
  kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the socket was closed"));
}

}  // namespace nexus
