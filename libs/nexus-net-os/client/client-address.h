#pragma once
// An address of the stack as a kj::NetworkAddress. Made by NetClient; owned by its user. A value with a NetworkManager
// beside it.
#include <kj/async-io.h>

#include "idl/net.capnp.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

// The exception that stands for an outcome other than ok; `what` says what was tried.
kj::Exception outcomeException(idl::Outcome outcome, kj::StringPtr what);

class ClientAddress final : public kj::NetworkAddress {
 public:
  ClientAddress(idl::NetworkManager::Client manager, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel,
                SocketAddress address)
      : manager(kj::mv(manager)), lowLevel(lowLevel), address(address) {}

  const SocketAddress& socketAddress() const { return address; }

  // implements kj::NetworkAddress ----------------------------------------

  kj::Promise<kj::Own<kj::AsyncIoStream>> connect() override;
  // Listening begins now, but what the stack says to it shows in accept(); see NetClient::listen().
  kj::Own<kj::ConnectionReceiver> listen() override;
  kj::Own<kj::DatagramPort> bindDatagramPort() override;
  kj::Own<kj::NetworkAddress> clone() override { return kj::heap<ClientAddress>(manager, lowLevel, address); }
  kj::String toString() override { return kj::str(address); }

 private:
  idl::NetworkManager::Client manager;
  kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
  SocketAddress address;
};

}  // namespace nexus
