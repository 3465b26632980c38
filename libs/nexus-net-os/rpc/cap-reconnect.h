#pragma once
// A capability behind a Unix socket that outlives its server: connects when first asked, and again after the connection
// was lost. Owned by whoever imports the capability. Calls in flight at the loss fail as DISCONNECTED; nothing is
// repeated here, because only the caller knows what may be done twice.
#include "libs/nexus-net-os/rpc/cap-transport.h"

namespace nexus {

class CapReconnect {
 public:
  using Connect = kj::Function<kj::Promise<kj::Own<kj::AsyncCapabilityStream>>()>;

  explicit CapReconnect(Connect connect, const RpcLimits& limits = RpcLimits::forLargeMessages());
  ~CapReconnect() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(CapReconnect);

  // The server's bootstrap object over the present connection, or over a new one when there is none or it has ended.
  // A failure to connect is the failure of the first call on it.
  template <typename T>
  typename T::Client get() {
    return current().castAs<T>();
  }

  // Resolves when the connection that get() last used has ended; at once when there is none.
  kj::Promise<void> whenLost();

  // How many connections were made so far.
  uint64_t connectCount() const { return connects; }

 private:
  struct Session;  // one connection: pending, live or ended
  Connect connect;
  RpcLimits limits;
  uint64_t connects = 0;
  kj::Maybe<kj::Own<Session>> session;

  capnp::Capability::Client current();
};

// Connects to the Unix socket at `path`.
CapReconnect::Connect unixConnector(kj::Network& network, kj::StringPtr path);

}  // namespace nexus
