#pragma once
// The peers this node knows: name, device id, Noise static key. Everybody else is a stranger. Owned by dsoftbusd, from
// its configuration; does not change while it runs. Knows nothing of what a peer may do (proxy-policy).
#include <kj/vector.h>

#include "daemons/dsoftbusd/identity.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

struct TrustedPeer {
  kj::String name;
  PublicIdentity identity;
  bool dial = true;                    // false: this peer dials us
  kj::Maybe<SocketAddress> address{};  // where to dial it when it is not heard
};

class TrustTable {
 public:
  TrustTable() = default;
  // FAILED when two entries share a name or a device id.
  explicit TrustTable(kj::Array<TrustedPeer> peers);

  kj::Maybe<const TrustedPeer&> findByName(kj::StringPtr name) const;
  kj::Maybe<const TrustedPeer&> findByDeviceId(kj::StringPtr deviceId) const;

  // The peer whose device id and static key are both the proven ones; or why not.
  kj::OneOf<const TrustedPeer*, kj::String> bind(const PublicIdentity& proven) const;

  kj::ArrayPtr<const TrustedPeer> all() const { return peers; }

 private:
  kj::Array<TrustedPeer> peers;
};

}  // namespace nexus
