#pragma once
// Where sessions get their byte streams from: TCP on the node's stack today (net-transport). Knows nothing of keys or
// peers; whoever is at the other end is unknown until the handshake.
#include <kj/async-io.h>
#include <kj/one-of.h>

#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

struct DialFailure {
  kj::String reason;    // one clause for people: "connection refused"
  bool denied = false;  // by this node's own network policy: trying again is of no use
};

class Transport {
 public:
  using Dialed = kj::OneOf<kj::Own<kj::AsyncIoStream>, DialFailure>;

  virtual ~Transport() noexcept(false) = default;

  // Refused, unreachable, denied are results. Exceptions (DISCONNECTED, OVERLOADED) mean that the stack failed.
  // Cancelling aborts.
  virtual kj::Promise<Dialed> dial(const SocketAddress& remote) = 0;
};

class Acceptor {
 public:
  struct Accepted {
    kj::Own<kj::AsyncIoStream> stream;
    SocketAddress remote;
  };

  virtual ~Acceptor() noexcept(false) = default;

  // The next connection. Cancelling loses none.
  virtual kj::Promise<Accepted> accept() = 0;
};

}  // namespace nexus
