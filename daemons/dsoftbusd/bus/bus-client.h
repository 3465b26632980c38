#pragma once
// The initiator's end of one session, for programs that are not a node of the bus: the selftest, tools, and the
// stranger of the tests. Dials one address over a NetworkManager, does the handshake with the identity it is given, and
// then pings and calls. Takes no calls of the peer: those are denied. Owned by that program; dropping it closes the
// session.
#include <kj/async.h>
#include <kj/one-of.h>
#include <kj/timer.h>

#include "daemons/dsoftbusd/remote/call-status.h"
#include "daemons/dsoftbusd/session/handshake.h"
#include "idl/net.capnp.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

class BusClient {
 public:
  struct Options {
    // Ping the peer right after the handshake, as a node does, and be connected only when pings have crossed both ways:
    // a peer that does not trust this key is then a Failure. A stranger that wants its call refused must not: the peer
    // ends the session of an untrusted key at its first record, and only a request is answered with a status.
    bool greet = true;
  };
  struct Failure {
    kj::String reason;  // one clause for people
  };
  using Connected = kj::OneOf<kj::Own<BusClient>, Failure>;

  // own, timer and entropy must outlive the client. Takes at most the stack's connect time and twice
  // HANDSHAKE_DEADLINE.
  static kj::Promise<Connected> connect(idl::NetworkManager::Client net, SocketAddress remote,
                                        const DeviceIdentity& own, ExpectedPeer peer, kj::Timer& timer,
                                        Entropy& entropy, Options options);

  virtual ~BusClient() noexcept(false) = default;

  // The same payload back through the encrypted session; at most 256 bytes. DISCONNECTED when the session ends.
  virtual kj::Promise<kj::Array<kj::byte>> ping(kj::ArrayPtr<const kj::byte> payload) = 0;

  struct Reply {
    CallStatus status;
    uint64_t auditId;  // of the peer's record; 0 if it told none
    kj::Array<kj::byte> reply;
  };
  // One frame to a service of the peer. Nothing is checked here, so that the peer's refusals can be seen; a frame of up
  // to 60000 bytes goes. A session that the peer closes as unauthenticated answers with that status.
  virtual kj::Promise<Reply> call(kj::StringPtr service, kj::ArrayPtr<const kj::byte> frame) = 0;

  // Who the peer proved to be.
  virtual const PublicIdentity& peer() const = 0;

  // Resolves with the reason when the session has ended.
  virtual kj::Promise<kj::String> whenEnded() = 0;
};

}  // namespace nexus
