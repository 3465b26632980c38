#pragma once
// The peers this node knows: name, device id, Noise static key. Everybody else is a stranger. Owned by dsoftbusd and
// replaced as a whole while it runs (Bus::applyTrust); what a reference points to is gone with the next replacement.
// Knows nothing of what a peer may do (proxy-policy), of files or of the wall clock.
//
// A peer that changes its own key is known by two identities for a time: the one it has from now on, and the previous
// one, until the end of its grace.
#include <kj/time.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/trust/identity.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

// What a peer was known by before it changed its key.
struct PreviousIdentity {
  PublicIdentity identity;
  kj::TimePoint until;                 // accepted before this, refused from then on
  kj::Date untilUtc = kj::UNIX_EPOCH;  // the same as people wrote it, for a file; until alone counts
};

struct TrustedPeer {
  kj::String name;
  PublicIdentity identity;
  bool dial = true;                    // false: this peer dials us
  kj::Maybe<SocketAddress> address{};  // where to dial it when it is not heard
  kj::Maybe<PreviousIdentity> previous = nullptr;
  bool paired = false;  // by a pairing; false: by the configuration

  // The accepted identity of that device id: the current one, or the previous one. Null: neither.
  kj::Maybe<const PublicIdentity&> find(kj::StringPtr deviceId) const;
  bool accepts(const PublicIdentity& proven) const;

  TrustedPeer clone() const;
  bool operator==(const TrustedPeer& other) const;
};

// Whether the two accept a device id in common.
bool shareDevice(const TrustedPeer& a, const TrustedPeer& b);

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
  kj::Array<TrustedPeer> clone() const;

  // When the first grace ends; null when there is none.
  kj::Maybe<kj::TimePoint> nextGraceEnd() const;

 private:
  kj::Array<TrustedPeer> peers;
};

// Takes out the previous identities whose grace is over.
void endGraces(kj::ArrayPtr<TrustedPeer> peers, kj::TimePoint now);

}  // namespace nexus
