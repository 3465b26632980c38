#pragma once
// Which peers the trust table is made of: those of the configuration, and those that were paired, kept in a store. Of
// two entries for one name or device the configuration's is the one that counts. Owned by dsoftbusd; hands out the
// merged table and applies nothing itself.
#include <kj/timer.h>

#include "daemons/dsoftbusd/trust/paired-peers.h"

namespace nexus {

constexpr size_t DEFAULT_TRUSTED_PEERS = 64;

class TrustKeeper {
 public:
  // Reads the store, which outlives this as the clocks do. most: peers in the merged table. FAILED with a sentence when
  // the store cannot be read or there are more. calendar: looked at once for each grace that is read or begun, so that
  // no step of it makes a grace longer.
  TrustKeeper(kj::Array<TrustedPeer> configured, size_t most, kj::Maybe<TrustStore&> store, kj::Timer& timer,
              const kj::Clock& calendar);
  KJ_DISALLOW_COPY_AND_MOVE(TrustKeeper);

  // The configuration's first, each in its order. Previous identities are those whose grace is not over.
  kj::Array<TrustedPeer> merged() const;

  // A new configuration. FAILED with a sentence, with nothing changed, when there would be too many.
  void configure(kj::Array<TrustedPeer> peers);

  enum class Obstacle { NO_STORE, NAME_TAKEN, DEVICE_KNOWN, FULL };
  // Why a peer of that name, and of that device id if it is known already, could not be added. A paired peer of the
  // same name may be added again, with another key.
  kj::Maybe<Obstacle> obstacle(kj::StringPtr name, kj::Maybe<kj::StringPtr> deviceId) const;

  // Stores the peer, then has it; address: where to dial it when it is not heard. FAILED, with nothing changed, when it
  // could not be stored.
  void add(kj::StringPtr name, PublicIdentity identity, kj::Maybe<SocketAddress> address = nullptr);

  enum class Rekeyed {
    DONE,
    UNKNOWN,
    CONFIGURED,    // the entry that counts is one of the configuration
    SAME_KEY,      // that is the peer's key already, or its device
    DEVICE_KNOWN,  // another peer is that device
    OVER,          // until is no time to come
  };
  // A paired peer, by name or device id, has another identity from now on; the one that it had is accepted too until
  // that time, and one that was accepted before it no more. FAILED, with nothing changed, when it could not be stored.
  Rekeyed rekey(kj::StringPtr peer, PublicIdentity next, kj::Date until);

  enum class Removed { REMOVED, UNKNOWN, CONFIGURED };
  // By name or device id. CONFIGURED: one of the configuration is still trusted; a paired one that it hid is gone, so
  // that it does not come back when the configuration's entry goes. FAILED, with nothing changed, when the rest could
  // not be stored.
  Removed remove(kj::StringPtr peer);

  size_t mostPeers() const { return most; }
  kj::StringPtr storeName() const;  // empty: none

 private:
  kj::Array<TrustedPeer> configured;
  size_t most;
  kj::Maybe<TrustStore&> store;
  kj::Timer& timer;
  const kj::Clock& calendar;
  kj::Array<TrustedPeer> paired;

  void checkSize(kj::ArrayPtr<const TrustedPeer> peers) const;
  void resolveGraces();
  void storePaired(kj::Array<TrustedPeer> peers);
};

}  // namespace nexus
