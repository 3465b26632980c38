#include "daemons/netstackd/mint.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/rpc/cap-transport.h"
#include "libs/nexus-net-os/rpc/socket-pair.h"

namespace nexus {

namespace {

// The server's end of one minted socket.
class MintHandle final : public idl::Handle::Server {
 public:
  MintHandle(kj::Own<kj::AsyncCapabilityStream> end, capnp::Capability::Client capability, ClientQuota::Ticket ticket)
      : ticket(kj::mv(ticket)), capability(kj::mv(capability)), server([this](const PeerCredentials&) {
          // The connection takes the only reference, so that the capability dies with it.
          auto taken = kj::mv(KJ_ASSERT_NONNULL(this->capability));
          this->capability = nullptr;
          return taken;
        }) {
    server.accept(kj::mv(end));
  }

 private:
  ClientQuota::Ticket ticket;
  kj::Maybe<capnp::Capability::Client> capability;
  CapServer server;
};

}  // namespace

Minted mintSocket(kj::LowLevelAsyncIoProvider& lowLevel, capnp::Capability::Client capability,
                  ClientQuota::Ticket ticket) {
  auto pair = newSocketPair();
  auto end = lowLevel.wrapUnixSocketFd(kj::mv(pair.ends[0]));
  return {kj::mv(pair.ends[1]), kj::heap<MintHandle>(kj::mv(end), kj::mv(capability), kj::mv(ticket))};
}

}  // namespace nexus
