#include "libs/nexus-net-os/client/client-datagram.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/client/client-address.h"

namespace nexus {

class ClientDatagramPort::Receiver final : public kj::DatagramReceiver {
 public:
  Receiver(ClientDatagramPort& port, size_t capacity) : port(port), capacity(capacity) {}

  kj::Promise<void> receive() override {
    auto response = co_await port.receive();
    source = kj::heap<ClientAddress>(port.manager, nullptr, SocketAddress::fromIdl(response.getFrom()));
    datagram = kj::mv(response);
  }

  MaybeTruncated<kj::ArrayPtr<const kj::byte>> getContent() override {
    kj::ArrayPtr<const kj::byte> data = KJ_ASSERT_NONNULL(datagram, "nothing was received yet").getData();
    bool truncated = data.size() > capacity;
    return {truncated ? data.slice(0, capacity) : data, truncated};
  }

  MaybeTruncated<kj::ArrayPtr<const kj::AncillaryMessage>> getAncillary() override { return {nullptr, false}; }

  kj::NetworkAddress& getSource() override { return *KJ_ASSERT_NONNULL(source, "nothing was received yet"); }

 private:
  ClientDatagramPort& port;
  size_t capacity;
  kj::Maybe<Datagram> datagram;
  kj::Maybe<kj::Own<ClientAddress>> source;
};

kj::Promise<ClientDatagramPort::Bound> ClientDatagramPort::request(idl::NetworkManager::Client manager,
                                                                   SocketAddress local) {
  auto request = manager.createUdpSocketRequest();
  local.toIdl(request.initLocal());
  auto response = co_await request.send();
  if (response.getOutcome() != idl::Outcome::OK) {
    kj::throwFatalException(outcomeException(response.getOutcome(), kj::str("bind UDP ", local)));
  }
  co_return Bound{response.getSocket(), response.getLocal().getPort()};
}

ClientDatagramPort::ClientDatagramPort(idl::NetworkManager::Client manager, Bound bound)
    : manager(kj::mv(manager)),
      port(bound.port),
      socket(kj::mv(bound.socket)),
      ready(kj::Promise<void>(kj::READY_NOW).fork()) {}

ClientDatagramPort::ClientDatagramPort(idl::NetworkManager::Client manager, kj::Promise<Bound> pending, uint16_t port)
    : manager(kj::mv(manager)),
      port(port),
      ready(pending
                .then([this](Bound&& bound) {
                  this->port = bound.port;
                  socket = kj::mv(bound.socket);
                })
                .fork()) {}

kj::Promise<idl::UdpSocket::Client> ClientDatagramPort::capability() {
  co_await ready.addBranch();
  co_return KJ_ASSERT_NONNULL(socket);
}

kj::Promise<size_t> ClientDatagramPort::send(const void* buffer, size_t size, kj::NetworkAddress& destination) {
  auto piece = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
  co_return co_await send(kj::arrayPtr(&piece, 1), destination);
}

kj::Promise<size_t> ClientDatagramPort::send(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces,
                                             kj::NetworkAddress& destination) {
  auto& target = KJ_REQUIRE_NONNULL(kj::dynamicDowncastIfAvailable<ClientAddress>(destination),
                                    "the address is of another network");
  auto to = target.socketAddress();
  co_await ready.addBranch();
  size_t size = 0, filled = 0;
  for (auto piece : pieces) size += piece.size();
  auto request = KJ_ASSERT_NONNULL(socket).sendToRequest();
  to.toIdl(request.initTo());
  auto data = request.initData(size);
  for (auto piece : pieces) {
    memcpy(data.begin() + filled, piece.begin(), piece.size());
    filled += piece.size();
  }
  auto response = co_await request.send();
  if (response.getOutcome() != idl::Outcome::OK) {
    kj::throwFatalException(outcomeException(response.getOutcome(), kj::str("send to ", to)));
  }
  co_return size;
}

kj::Own<kj::DatagramReceiver> ClientDatagramPort::makeReceiver(kj::DatagramReceiver::Capacity capacity) {
  return kj::heap<Receiver>(*this, capacity.content);
}

kj::uint ClientDatagramPort::getPort() {
  KJ_REQUIRE(port != 0, "the port is not known yet: use NetClient::bindDatagramPort()");
  return port;
}

kj::Promise<ClientDatagramPort::Datagram> ClientDatagramPort::receive() {
  for (;;) {
    KJ_IF_MAYBE (datagram, waiting) {
      auto taken = kj::mv(*datagram);
      waiting = nullptr;
      co_return kj::mv(taken);
    }
    // Every caller joins the one call.
    if (!receiving) {
      receiving = true;
      next = receiveOne().fork();
    }
    co_await KJ_ASSERT_NONNULL(next).addBranch();
  }
}

kj::Promise<void> ClientDatagramPort::receiveOne() {
  KJ_DEFER(receiving = false);
  co_await ready.addBranch();
  waiting = co_await KJ_ASSERT_NONNULL(socket).recvFromRequest().send();
}

}  // namespace nexus
