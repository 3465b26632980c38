#include "daemons/dsoftbusd/net-transport.h"

#include <kj/debug.h>

namespace nexus {

namespace {

constexpr size_t MAX_TRANSFER = 65536;  // bytes a call, idl TcpSocket

// A TcpSocket as a byte stream. Dropping it closes the connection.
class SocketStream final : public kj::AsyncIoStream {
 public:
  explicit SocketStream(idl::TcpSocket::Client socket) : socket(kj::mv(socket)) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    auto* out = reinterpret_cast<kj::byte*>(buffer);
    size_t got = 0;
    while (got < minBytes) {
      auto request = socket.recvRequest();
      request.setMaxBytes(static_cast<uint32_t>(kj::min(maxBytes - got, MAX_TRANSFER)));
      auto response = co_await request.send();
      auto data = response.getData();
      if (data.size() == 0) break;
      KJ_REQUIRE(data.size() <= maxBytes - got, "the stack gave more than was asked for", data.size(), maxBytes - got);
      memcpy(out + got, data.begin(), data.size());
      got += data.size();
    }
    co_return got;
  }

  kj::Promise<void> write(const void* buffer, size_t size) override {
    auto* from = reinterpret_cast<const kj::byte*>(buffer);
    for (size_t sent = 0; sent < size;) {
      auto part = kj::min(size - sent, MAX_TRANSFER);
      auto request = socket.sendRequest();
      request.setData(kj::arrayPtr(from + sent, part));
      co_await request.send();
      sent += part;
    }
  }

  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    for (auto& piece : pieces) co_await write(piece.begin(), piece.size());
  }

  void shutdownWrite() override {
    // Ordered after the sends; a connection that is gone has nothing left to shut.
    closing = socket.closeRequest().send().ignoreResult().eagerlyEvaluate([](kj::Exception&&) {});
  }

  // The reader or writer at work notices.
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }

 private:
  idl::TcpSocket::Client socket;
  kj::Promise<void> closing = nullptr;
};

class NetTransport final : public Transport {
 public:
  explicit NetTransport(idl::NetworkManager::Client net) : net(kj::mv(net)) {}

  kj::Promise<Dialed> dial(const SocketAddress& remote) override {
    auto request = net.connectTcpRequest();
    remote.toIdl(request.initRemote());
    request.initLocal().getAddress().setAny();  // the stack chooses
    return request.send().then([](capnp::Response<idl::NetworkManager::ConnectTcpResults>&& response) -> Dialed {
      if (response.getOutcome() != idl::Outcome::OK) return DialFailure{kj::str(outcomeText(response.getOutcome()))};
      return kj::Own<kj::AsyncIoStream>(kj::heap<SocketStream>(response.getSocket()));
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
      return Accepted{kj::heap<SocketStream>(response.getSocket()), SocketAddress::fromIdl(response.getRemote())};
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
