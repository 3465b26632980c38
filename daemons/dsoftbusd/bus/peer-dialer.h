#pragma once
// One dial of a peer: reaches an address over a transport, then does the handshake with whoever is there. Owned by a
// peer link. Knows nothing of back-off, of sessions, or of which address is to be tried next.
#include <kj/function.h>

#include "daemons/dsoftbusd/bus/link-context.h"
#include "daemons/dsoftbusd/bus/peer-routes.h"
#include "daemons/dsoftbusd/session/handshake.h"

namespace nexus {

class PeerDialer {
 public:
  // peer: its name, for audit and observer. Both outlive the dialer.
  PeerDialer(LinkContext& context, kj::StringPtr peer) : context(context), peer(peer) {}
  KJ_DISALLOW_COPY_AND_MOVE(PeerDialer);

  // Failures are results. denied: set when this node's own network policy forbids the address; outlives the promise. A
  // peer that proves another identity is audited. onConnected: the address is reached, the handshake begins.
  kj::Promise<HandshakeResult> dial(PeerRoutes::Choice route, const PublicIdentity& target, kj::Duration connectTimeout,
                                    bool& denied, kj::Function<void()> onConnected);

 private:
  LinkContext& context;
  kj::StringPtr peer;

  kj::Promise<HandshakeResult> attempt(PeerRoutes::Choice route, ExpectedPeer expected, kj::Duration connectTimeout,
                                       bool& denied, kj::Function<void()> onConnected);
};

}  // namespace nexus
