#include "daemons/dsoftbusd/net-transport.h"

#include "libs/nexus-net-os/client/client-stream.h"

namespace nexus {

namespace {

class NetTransport final : public Transport {
 public:
  explicit NetTransport(idl::NetworkManager::Client net) : net(kj::mv(net)) {}

  kj::Promise<Dialed> dial(const SocketAddress& remote) override {
    auto request = net.connectTcpRequest();
    remote.toIdl(request.initRemote());
    request.initLocal().getAddress().setAny();  // the stack chooses
    return request.send().then([](capnp::Response<idl::NetworkManager::ConnectTcpResults>&& response) -> Dialed {
      if (response.getOutcome() != idl::Outcome::OK) {
        return DialFailure{kj::str(outcomeText(response.getOutcome())), response.getOutcome() == idl::Outcome::DENIED};
      }
      return kj::Own<kj::AsyncIoStream>(kj::heap<ClientStream>(response.getSocket()));
    });
  }

 private:
  idl::NetworkManager::Client net;
};

class NetAcceptor final : public Acceptor {
 public:
  explicit NetAcceptor(idl::TcpListener::Client listener) : listener(kj::mv(listener)) {}

  kj::Promise<Accepted> accept() override {
    return listener.acceptRequest().send().then([](capnp::Response<idl::TcpListener::AcceptResults>&& response) {
      return Accepted{kj::heap<ClientStream>(response.getSocket()), SocketAddress::fromIdl(response.getRemote())};
    });
  }

 private:
  idl::TcpListener::Client listener;
};

}  // namespace

kj::Own<Transport> newNetTransport(idl::NetworkManager::Client net) {
  return kj::heap<NetTransport>(kj::mv(net));
}

kj::Own<Acceptor> newNetAcceptor(idl::TcpListener::Client listener) {
  return kj::heap<NetAcceptor>(kj::mv(listener));
}

kj::StringPtr outcomeText(idl::Outcome outcome) {
  switch (outcome) {
    case idl::Outcome::OK:
      return "ok"_kj;
    case idl::Outcome::DENIED:
      return "denied by the network policy"_kj;
    case idl::Outcome::REFUSED:
      return "connection refused"_kj;
    case idl::Outcome::UNREACHABLE:
      return "unreachable"_kj;
    case idl::Outcome::TIMED_OUT:
      return "connection timed out"_kj;
    case idl::Outcome::ADDRESS_IN_USE:
      return "address in use"_kj;
    case idl::Outcome::ADDRESS_NOT_AVAILABLE:
      return "address not available"_kj;
    case idl::Outcome::NOT_FOUND:
      return "not found"_kj;
  }
  return "unknown outcome"_kj;
}

}  // namespace nexus
