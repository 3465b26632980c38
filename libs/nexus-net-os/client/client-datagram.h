#pragma once
// A UdpSocket capability as a kj::DatagramPort. Made by NetClient and ClientAddress; owned by its user. A receive that
// is cancelled loses nothing: the datagram goes to the next receive.
#include <kj/async-io.h>

#include <deque>

#include "idl/net.capnp.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

class ClientDatagramPort final : public kj::DatagramPort {
 public:
  struct Bound {
    idl::UdpSocket::Client socket;
    uint16_t port;
  };
  // Fails for every outcome but ok.
  static kj::Promise<Bound> request(idl::NetworkManager::Client manager, SocketAddress local);

  // `manager` is for the addresses that received datagrams carry.
  ClientDatagramPort(idl::NetworkManager::Client manager, Bound bound);
  // While the answer to `pending` is awaited the port is `port`; 0 means not known.
  ClientDatagramPort(idl::NetworkManager::Client manager, kj::Promise<Bound> pending, uint16_t port);

  // The capability, for what KJ has no word for: joinGroup.
  kj::Promise<idl::UdpSocket::Client> capability();

  // implements kj::DatagramPort ----------------------------------------

  // `destination` must be an address of a NetClient. A datagram that is denied or has no route fails as
  // outcomeException() says.
  kj::Promise<size_t> send(const void* buffer, size_t size, kj::NetworkAddress& destination) override;
  kj::Promise<size_t> send(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces,
                           kj::NetworkAddress& destination) override;
  kj::Own<kj::DatagramReceiver> makeReceiver(
      kj::DatagramReceiver::Capacity capacity = kj::DatagramReceiver::Capacity()) override;
  // FAILED while the stack has not yet said which port it chose.
  kj::uint getPort() override;

 private:
  class Receiver;
  using Datagram = capnp::Response<idl::UdpSocket::RecvFromResults>;

  idl::NetworkManager::Client manager;
  uint16_t port;
  kj::Maybe<idl::UdpSocket::Client> socket;
  kj::ForkedPromise<void> ready;
  kj::Maybe<Datagram> waiting;  // received while nobody was left to take it
  bool receiving = false;
  kj::Maybe<kj::ForkedPromise<void>> next;  // the last call

  kj::Promise<Datagram> receive();
  kj::Promise<void> receiveOne();
};

}  // namespace nexus
