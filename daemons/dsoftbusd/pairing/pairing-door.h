#pragma once
// Where connections go that begin with PAIRING_MAGIC (pairing-exchange.h) instead of the length of a handshake message.
// Implemented by the pairer, asked by the bus.
#include <kj/async-io.h>

#include "daemons/dsoftbusd/pairing/pairing-exchange.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

class PairingDoor {
 public:
  virtual ~PairingDoor() noexcept(false) = default;

  // Whether a person here has opened a window, and no other node is in it.
  virtual bool isOpen() const = 0;

  // A connection whose magic was read. Only while it is open.
  virtual void take(kj::Own<kj::AsyncIoStream> stream, SocketAddress remote) = 0;
};

}  // namespace nexus
