#pragma once
// A TcpListener capability as a kj::ConnectionReceiver. Made by NetClient and ClientAddress; owned by its user. An
// accept that is cancelled loses nothing: the connection goes to the next accept.
#include <kj/async-io.h>

#include <deque>

#include "idl/net.capnp.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

class ClientListener final : public kj::ConnectionReceiver {
 public:
  struct Listening {
    idl::TcpListener::Client listener;
    uint16_t port;
  };
  // Fails for every outcome but ok.
  static kj::Promise<Listening> request(idl::NetworkManager::Client manager, SocketAddress local, uint16_t backlog);

  ClientListener(Listening listening, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel);
  // While the answer to `pending` is awaited the port is `port`; 0 means not known.
  ClientListener(kj::Promise<Listening> pending, uint16_t port, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel);

  // implements kj::ConnectionReceiver ----------------------------------------

  kj::Promise<kj::Own<kj::AsyncIoStream>> accept() override;
  // FAILED while the stack has not yet said which port it chose.
  kj::uint getPort() override;

 private:
  kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
  uint16_t port;
  kj::Maybe<idl::TcpListener::Client> listener;
  kj::ForkedPromise<void> ready;
  std::deque<kj::Own<kj::AsyncIoStream>> accepted;
  bool accepting = false;
  kj::Maybe<kj::ForkedPromise<void>> next;  // the last call

  kj::Promise<void> acceptOne();
};

}  // namespace nexus
