#include "libs/nexus-net-os/client/client-address.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/client/client-datagram.h"
#include "libs/nexus-net-os/client/client-listener.h"
#include "libs/nexus-net-os/client/client-stream.h"

namespace nexus {

namespace {

kj::Promise<kj::Own<kj::AsyncIoStream>> connectTo(idl::NetworkManager::Client manager,
                                                  kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel,
                                                  SocketAddress remote) {
  auto request = manager.connectTcpRequest();
  remote.toIdl(request.initRemote());
  request.initLocal().initAddress().setAny();
  auto response = co_await request.send();
  if (response.getOutcome() != idl::Outcome::OK) {
    kj::throwFatalException(outcomeException(response.getOutcome(), kj::str("connect to ", remote)));
  }
  co_return co_await openClientStream(response.getSocket(), lowLevel);
}

kj::StringPtr outcomeText(idl::Outcome outcome) {
  switch (outcome) {
    case idl::Outcome::OK:
      return "ok"_kj;
    case idl::Outcome::DENIED:
      return "denied by policy"_kj;
    case idl::Outcome::REFUSED:
      return "refused"_kj;
    case idl::Outcome::UNREACHABLE:
      return "unreachable"_kj;
    case idl::Outcome::TIMED_OUT:
      return "timed out"_kj;
    case idl::Outcome::ADDRESS_IN_USE:
      return "address in use"_kj;
    case idl::Outcome::ADDRESS_NOT_AVAILABLE:
      return "not an address of this node"_kj;
    case idl::Outcome::NOT_FOUND:
      return "not found"_kj;
  }
  return "an outcome that this version does not know"_kj;
}

}  // namespace

kj::Exception outcomeException(idl::Outcome outcome, kj::StringPtr what) {
  bool gone =
      outcome == idl::Outcome::REFUSED || outcome == idl::Outcome::UNREACHABLE || outcome == idl::Outcome::TIMED_OUT;
  auto text = kj::str(what, ": ", outcomeText(outcome));
  return gone ? KJ_EXCEPTION(DISCONNECTED, text) : KJ_EXCEPTION(FAILED, text);
}

kj::Promise<kj::Own<kj::AsyncIoStream>> ClientAddress::connect() {
  return connectTo(manager, lowLevel, address);
}

kj::Own<kj::ConnectionReceiver> ClientAddress::listen() {
  return kj::heap<ClientListener>(ClientListener::request(manager, address, 0), address.port, lowLevel);
}

kj::Own<kj::DatagramPort> ClientAddress::bindDatagramPort() {
  return kj::heap<ClientDatagramPort>(manager, ClientDatagramPort::request(manager, address), address.port);
}

}  // namespace nexus
