#include "libs/nexus-net-os/client/client-listener.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/client/client-address.h"
#include "libs/nexus-net-os/client/client-stream.h"

namespace nexus {

kj::Promise<ClientListener::Listening> ClientListener::request(idl::NetworkManager::Client manager, SocketAddress local,
                                                               uint16_t backlog) {
  auto request = manager.createTcpListenerRequest();
  local.toIdl(request.initLocal());
  request.setBacklog(backlog);
  auto response = co_await request.send();
  if (response.getOutcome() != idl::Outcome::OK) {
    kj::throwFatalException(outcomeException(response.getOutcome(), kj::str("listen on ", local)));
  }
  co_return Listening{response.getListener(), response.getLocal().getPort()};
}

ClientListener::ClientListener(Listening listening, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel)
    : lowLevel(lowLevel),
      port(listening.port),
      listener(kj::mv(listening.listener)),
      ready(kj::Promise<void>(kj::READY_NOW).fork()) {}

ClientListener::ClientListener(kj::Promise<Listening> pending, uint16_t port,
                               kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel)
    : lowLevel(lowLevel),
      port(port),
      ready(pending
                .then([this](Listening&& listening) {
                  this->port = listening.port;
                  listener = kj::mv(listening.listener);
                })
                .fork()) {}

kj::Promise<kj::Own<kj::AsyncIoStream>> ClientListener::accept() {
  for (;;) {
    if (!accepted.empty()) {
      auto stream = kj::mv(accepted.front());
      accepted.pop_front();
      co_return kj::mv(stream);
    }
    // Every caller joins the one call.
    if (!accepting) {
      accepting = true;
      next = acceptOne().fork();
    }
    co_await KJ_ASSERT_NONNULL(next).addBranch();
  }
}

kj::Promise<void> ClientListener::acceptOne() {
  KJ_DEFER(accepting = false);
  co_await ready.addBranch();
  auto response = co_await KJ_ASSERT_NONNULL(listener).acceptRequest().send();
  accepted.push_back(co_await openClientStream(response.getSocket(), lowLevel));
}

kj::uint ClientListener::getPort() {
  KJ_REQUIRE(port != 0, "the port is not known yet: use NetClient::listen()");
  return port;
}

}  // namespace nexus
