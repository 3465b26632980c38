#pragma once
// TcpSocket and TcpListener as capabilities over the stack's connections and listeners. Owned by the RPC system of the
// client that holds them; dropping the last reference closes. Policy was asked before they are made. Knows nothing of
// frames.
#include "daemons/netstackd/client-session.h"
#include "daemons/netstackd/stream-pump.h"
#include "libs/nexus-net-os/base/wait-queue.h"
#include "libs/nexus-net-os/stack/tcp-listener.h"

namespace nexus {

class TcpSocketImpl final : public idl::TcpSocket::Server {
 public:
  TcpSocketImpl(kj::Own<ClientSession> session, kj::Own<TcpConn> conn, ClientQuota::Ticket ticket);

  kj::Promise<void> send(SendContext context) override;
  kj::Promise<void> recv(RecvContext context) override;
  kj::Promise<void> close(CloseContext context) override;
  kj::Promise<void> openStream(OpenStreamContext context) override;
  kj::Promise<void> addresses(AddressesContext context) override;

 private:
  kj::Own<ClientSession> session;
  kj::Own<SharedConn> conn;
  WaitQueue readers;
  size_t sending = 0;      // send calls that wait
  bool streaming = false;  // the bytes go through a descriptor
};

class TcpListenerImpl final : public idl::TcpListener::Server {
 public:
  TcpListenerImpl(kj::Own<ClientSession> session, kj::Own<TcpListener> listener, ClientQuota::Ticket ticket);

  kj::Promise<void> accept(AcceptContext context) override;
  kj::Promise<void> close(CloseContext context) override;

 private:
  kj::Own<ClientSession> session;
  kj::Maybe<kj::Own<TcpListener>> listener;  // null once closed
  kj::Maybe<ClientQuota::Ticket> ticket;
  WaitQueue acceptors;
};

}  // namespace nexus
