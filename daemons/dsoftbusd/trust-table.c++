#include "daemons/dsoftbusd/trust-table.h"

#include <kj/debug.h>

namespace nexus {

TrustTable::TrustTable(kj::Array<TrustedPeer> list) : peers(kj::mv(list)) {
  for (auto& a : peers) {
    for (auto& b : peers) {
      if (&a == &b) break;
      KJ_REQUIRE(a.name != b.name, "two entries of the trust table have the same name", a.name);
      KJ_REQUIRE(a.identity.deviceId != b.identity.deviceId, "two entries of the trust table are the same device",
                 a.name, b.name);
    }
  }
}

kj::Maybe<const TrustedPeer&> TrustTable::findByName(kj::StringPtr name) const {
  for (auto& peer : peers) {
    if (peer.name == name) return peer;
  }
  return nullptr;
}

kj::Maybe<const TrustedPeer&> TrustTable::findByDeviceId(kj::StringPtr deviceId) const {
  for (auto& peer : peers) {
    if (peer.identity.deviceId == deviceId) return peer;
  }
  return nullptr;
}

kj::OneOf<const TrustedPeer*, kj::String> TrustTable::bind(const PublicIdentity& proven) const {
  KJ_IF_MAYBE (peer, findByDeviceId(proven.deviceId)) {
    KJ_IF_MAYBE (error, checkBinding(proven, peer->identity)) return kj::str(peer->name, ": ", *error);
    return peer;
  }
  return kj::str("the device is not in the trust table");
}

}  // namespace nexus
