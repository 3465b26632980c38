#include "daemons/netstackd/tcp-server.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/rpc/fd-cap.h"
#include "libs/nexus-net-os/rpc/socket-pair.h"

namespace nexus {

namespace {

constexpr size_t MAX_SEND = 65536;  // bytes a call

kj::Exception listenerClosed() {
  return KJ_EXCEPTION(DISCONNECTED, "the listener was closed");
}

}  // namespace

TcpSocketImpl::TcpSocketImpl(kj::Own<ClientSession> session, kj::Own<TcpConn> conn, ClientQuota::Ticket ticket)
    : session(kj::mv(session)), conn(kj::refcounted<SharedConn>(kj::mv(conn), kj::mv(ticket))) {}

kj::Promise<void> TcpSocketImpl::send(SendContext context) {
  auto data = context.getParams().getData();
  KJ_REQUIRE(data.size() <= MAX_SEND, "at most 65536 bytes a call", data.size());
  KJ_REQUIRE(!streaming, "the bytes of this socket go through its stream");
  sending++;
  KJ_DEFER(sending--);
  co_await (*conn)->write(data);
}

kj::Promise<void> TcpSocketImpl::recv(RecvContext context) {
  size_t most = kj::min(context.getParams().getMaxBytes(), session->limits().maxReadBytes);
  KJ_REQUIRE(most > 0, "a read of no bytes");
  KJ_REQUIRE(!streaming, "the bytes of this socket go through its stream");
  session->requireRoomToWait(readers.size());
  auto& tcp = **conn;
  WaitQueue::Turn turn(readers);
  for (;;) {
    if (!turn.isFirst()) {
      co_await turn.wait();
    } else if (tcp.available() > 0) {
      auto data = context.getResults().initData(kj::min(most, tcp.available()));
      KJ_ASSERT(takeReceived(tcp, data) == data.size());
      co_return;
    } else if (tcp.atEnd()) {
      co_return;  // empty
    } else {
      co_await tcp.whenReadable();
      if (tcp.available() == 0 && !tcp.atEnd()) tcp.tryRead(1);  // throws what is wrong
    }
  }
}

kj::Promise<void> TcpSocketImpl::close(CloseContext) {
  KJ_REQUIRE(!streaming, "the bytes of this socket go through its stream");
  return (*conn)->shutdownWrite();
}

kj::Promise<void> TcpSocketImpl::openStream(OpenStreamContext context) {
  auto& lowLevel = KJ_UNWRAP_OR(session->node().lowLevel,
                                { return KJ_EXCEPTION(UNIMPLEMENTED, "no descriptors can be handed out here"); });
  KJ_REQUIRE(!streaming, "a socket has one stream");
  KJ_REQUIRE(readers.size() == 0 && sending == 0, "calls still wait on this socket");
  auto pair = newSocketPair();
  streaming = true;
  session->counters().streams++;
  session->run(pumpStream(kj::addRef(session->node()), kj::addRef(*conn), lowLevel.wrapSocketFd(kj::mv(pair.ends[0]))));
  context.getResults().setStream(newFdCap(kj::mv(pair.ends[1])));
  return kj::READY_NOW;
}

kj::Promise<void> TcpSocketImpl::addresses(AddressesContext context) {
  auto results = context.getResults();
  (*conn)->localAddress().toIdl(results.initLocal());
  (*conn)->remoteAddress().toIdl(results.initRemote());
  return kj::READY_NOW;
}

TcpListenerImpl::TcpListenerImpl(kj::Own<ClientSession> session, kj::Own<TcpListener> listener,
                                 ClientQuota::Ticket ticket)
    : session(kj::mv(session)), listener(kj::mv(listener)), ticket(kj::mv(ticket)) {}

kj::Promise<void> TcpListenerImpl::accept(AcceptContext context) {
  session->requireRoomToWait(acceptors.size());
  WaitQueue::Turn turn(acceptors);
  for (;;) {
    if (!turn.isFirst()) {
      co_await turn.wait();
      continue;
    }
    auto& tcp = *KJ_UNWRAP_OR(listener, { kj::throwFatalException(listenerClosed()); });
    if (tcp.queued() == 0) {
      co_await tcp.whenAcceptable();
      continue;
    }
    // First the room, then the connection: an OVERLOADED client has lost nothing.
    auto socketTicket = session->quota().take(ClientQuota::Kind::TCP_SOCKET);
    auto taken = tcp.tryAccept();
    KJ_IF_MAYBE (conn, taken) {
      session->counters().accepted++;
      auto results = context.getResults();
      (*conn)->remoteAddress().toIdl(results.initRemote());
      (*conn)->localAddress().toIdl(results.initLocal());
      results.setSocket(kj::heap<TcpSocketImpl>(kj::addRef(*session), kj::mv(*conn), kj::mv(socketTicket)));
      co_return;
    }
  }
}

kj::Promise<void> TcpListenerImpl::close(CloseContext) {
  listener = nullptr;  // the call that waits in it fails as DISCONNECTED, and lets the next one look
  ticket = nullptr;
  return kj::READY_NOW;
}

}  // namespace nexus
