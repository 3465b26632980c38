#pragma once
// Where this node's pairings are made: opens the one window there may be, lets in connections while it is open, and has
// whom two people agreed on stored and trusted. Owned by dsoftbusd. Knows nothing of capabilities.
#include "daemons/dsoftbusd/bus/bus.h"
#include "daemons/dsoftbusd/pairing/pairing-window.h"
#include "daemons/dsoftbusd/policy/audit-log.h"
#include "daemons/dsoftbusd/trust/trust-keeper.h"

namespace nexus {

class Pairer final : public PairingDoor, private PairingHost {
 public:
  static constexpr kj::Duration SHORTEST_WINDOW = 1 * kj::SECONDS, LONGEST_WINDOW = 600 * kj::SECONDS;
  static constexpr size_t SHORTEST_PREFIX = 8;  // of a device id, digits

  struct Hooks {
    // An address as text, or the start of a device id.
    kj::Function<kj::Maybe<Route>(kj::StringPtr peer)> findRoute;
    // The keeper's table has changed.
    kj::Function<void()> trustChanged;
  };

  // All of them outlive this.
  Pairer(const DeviceIdentity& own, kj::Timer& timer, Entropy& entropy, AuditLog& audit, TrustKeeper& keeper,
         Hooks hooks);

  struct Refused {
    idl::PairOutcome outcome;
    kj::String reason;
  };
  // length is brought between the shortest and the longest.
  kj::OneOf<kj::Own<PairingWindow>, Refused> open(kj::StringPtr name, kj::StringPtr peer, kj::Duration length);

  // Removes a paired peer. FAILED, with nothing changed, when the rest could not be stored.
  TrustKeeper::Removed unpair(kj::StringPtr peer);

  // As TrustKeeper::rekey, with an audit record.
  TrustKeeper::Rekeyed rekey(kj::StringPtr peer, PublicIdentity next, kj::Date until);

  // implements PairingDoor
  bool isOpen() const override;
  void take(kj::Own<kj::AsyncIoStream> stream, SocketAddress remote) override;

  struct Counters {
    uint64_t windows = 0, codes = 0, paired = 0, unpaired = 0, rekeyed = 0;
  };
  const Counters& counters() const { return counts; }

 private:
  AuditLog& audit;
  TrustKeeper& keeper;
  Hooks hooks;
  PairingContext context;
  PairingWindow* current = nullptr;  // not owned: forgets itself when it goes
  kj::String givenAddress;           // of the peer, as it was typed for the latest window; empty when it was not
  Counters counts;

  // implements PairingHost
  kj::Maybe<Route> findRoute(kj::StringPtr peer) override { return hooks.findRoute(peer); }
  kj::Maybe<idl::PairOutcome> obstacle(kj::StringPtr name, const PublicIdentity& peer) override;
  void trust(kj::StringPtr name, const PublicIdentity& peer) override;
  void note(kj::StringPtr name, kj::Maybe<const PublicIdentity&> peer, idl::PairOutcome outcome) override;
};

// What stands in the way, for people and in the schema.
idl::PairOutcome outcomeOf(TrustKeeper::Obstacle obstacle);
kj::StringPtr reasonOf(TrustKeeper::Obstacle obstacle);

}  // namespace nexus
