#pragma once
// Those who mean harm to a fleet, each on a machine of its own: they have the wire and what anyone can know, and
// mallory has the key of a machine that the others trust. Each runs until its promise is dropped, on the fleet's time,
// from randomness of its own. What they do must change nothing for the honest machines; that is for the invariants to
// find. Owned by a scenario. Know nothing of the daemon's inside.
#include "daemons/dsoftbusd/session/handshake.h"
#include "idl/net.capnp.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "tests/sim/fleet-app.h"
#include "tests/sim/fleet-wire.h"

namespace nexus {

// What one of them has. The references outlive it.
struct HostileMeans {
  kj::uint machine;  // its own number
  idl::NetworkManager::Client net;
  kj::Timer& timer;
  FleetBooks& books;
  FleetWire& wire;
  uint64_t seed;
};

enum class HostileKind {
  STRANGER,     // a sound handshake with a key that nobody trusts; then calls, streams, pings
  REPLAYER,     // says again what clients said on earlier connections, whole or in part
  ANNOUNCER,    // announces strangers, trusted devices with wrong keys, trusted devices at its own address, rubbish
  HALF_OPENER,  // connects and says nothing, or half of the first message
  SLOW,         // a handshake, one byte at a time
  MALLORY,      // a trusted machine gone bad: whatever an authenticated peer can send
};
constexpr kj::uint HOSTILE_KINDS = 6;
kj::StringPtr hostileName(HostileKind kind);

// Never ends by itself. Failing is its own business: what it attempts may be refused in any way.
kj::Promise<void> runHostile(HostileKind kind, HostileMeans means);

// Shared by the kinds.
class Hostile {
 public:
  explicit Hostile(HostileMeans means);
  virtual ~Hostile() noexcept(false) = default;
  KJ_DISALLOW_COPY_AND_MOVE(Hostile);

  kj::Promise<void> loop();

 protected:
  // One deed; an exception is its end.
  virtual kj::Promise<void> once() = 0;
  virtual kj::Duration pause() { return aWhile(3 * kj::SECONDS); }

  HostileMeans means;
  FixedEntropy random;
  kj::Vector<PublicIdentity> known;  // of the honest machines, from their announcements

  uint64_t below(uint64_t n) { return random.next() % n; }
  kj::Duration aWhile(kj::Duration most) {
    return int64_t(below(uint64_t(most / kj::MICROSECONDS))) * kj::MICROSECONDS;
  }
  kj::uint anyVictim() { return kj::uint(below(means.books.honest)); }
  kj::Array<kj::byte> noise(size_t bytes);
  static DeviceIdentity identityOf(kj::uint machine);
  const PublicIdentity& knownOf(kj::uint machine) const { return known[machine]; }

  // To the session port of that machine; null when it does not answer.
  kj::Promise<kj::Maybe<kj::Own<kj::AsyncIoStream>>> dial(kj::uint victim);
  kj::Promise<kj::Maybe<HandshakeDone>> shakeHands(kj::uint victim, const DeviceIdentity& own);
};

kj::Own<Hostile> newStranger(HostileMeans means);
kj::Own<Hostile> newReplayer(HostileMeans means);
kj::Own<Hostile> newAnnouncer(HostileMeans means);
kj::Own<Hostile> newHalfOpener(HostileMeans means);
kj::Own<Hostile> newSlow(HostileMeans means);
kj::Own<Hostile> newMallory(HostileMeans means);

}  // namespace nexus
