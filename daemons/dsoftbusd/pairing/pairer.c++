#include "daemons/dsoftbusd/pairing/pairer.h"

#include <kj/debug.h>

namespace nexus {

using Outcome = idl::PairOutcome;
using Obstacle = TrustKeeper::Obstacle;

namespace {

constexpr size_t STRANGER_ID_CHARS = 16;  // as in the bus: enough to recognise a device in the audit log

bool isDeviceIdPrefix(kj::StringPtr text) {
  if (text.size() < Pairer::SHORTEST_PREFIX || text.size() > DEVICE_ID_CHARS) return false;
  for (char c : text) {
    if (!('0' <= c && c <= '9') && !('a' <= c && c <= 'f')) return false;
  }
  return true;
}

bool isAddress(kj::StringPtr text) {
  return IpAddress::tryParse(text) != nullptr || SocketAddress::tryParse(text) != nullptr;
}

CallStatus verdictOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::OK:
      return CallStatus::OK;
    case Outcome::TIMED_OUT:
      return CallStatus::TIMED_OUT;
    default:
      return CallStatus::UNAUTHENTICATED;
  }
}

}  // namespace

Pairer::Pairer(const DeviceIdentity& own, kj::Timer& timer, Entropy& entropy, AuditLog& audit, TrustKeeper& keeper,
               Hooks hooks)
    : audit(audit), keeper(keeper), hooks(kj::mv(hooks)), context{own, timer, entropy, *this} {}

kj::OneOf<kj::Own<PairingWindow>, Pairer::Refused> Pairer::open(kj::StringPtr name, kj::StringPtr peer,
                                                                kj::Duration length) {
  if (!isPlainPeerName(name)) {
    return Refused{Outcome::BAD_NAME, kj::str("a name has 1 to 64 letters, digits, hyphens, underscores or dots")};
  }
  bool device = isDeviceIdPrefix(peer);
  if (peer.size() > 0 && !device && !isAddress(peer)) {
    return Refused{Outcome::BAD_PEER, kj::str("neither an address nor the first 8 to 64 digits of a device id")};
  }
  auto obstacle = keeper.obstacle(name, nullptr);
  KJ_IF_MAYBE (o, obstacle) return Refused{outcomeOf(*o), kj::str(reasonOf(*o))};
  if (current != nullptr && current->ended() == nullptr) {
    return Refused{Outcome::BUSY, kj::str("this node is pairing already")};
  }
  length = kj::max(SHORTEST_WINDOW, kj::min(LONGEST_WINDOW, length));
  PairingRequest request{kj::str(name), kj::str(peer), device ? kj::str(peer) : kj::String(), length};
  // Whichever of two windows goes first, the door belongs to the one that is open.
  struct Door {
    PairingWindow* window = nullptr;
  };
  auto door = kj::heap<Door>();
  auto& slot = *door;
  auto window = kj::refcounted<PairingWindow>(context, kj::mv(request), [this, door = kj::mv(door)]() {
    if (current == door->window) current = nullptr;
  });
  slot.window = window;
  current = window;
  givenAddress = device ? kj::String() : kj::str(peer);
  counts.windows++;
  return kj::mv(window);
}

TrustKeeper::Removed Pairer::unpair(kj::StringPtr peer) {
  auto removed = keeper.remove(peer);
  if (removed == TrustKeeper::Removed::REMOVED) {
    counts.unpaired++;
    hooks.trustChanged();
  }
  return removed;
}

TrustKeeper::Rekeyed Pairer::rekey(kj::StringPtr peer, PublicIdentity next, kj::Date until) {
  auto deviceId = kj::str(next.deviceId);
  auto rekeyed = keeper.rekey(peer, kj::mv(next), until);
  if (rekeyed == TrustKeeper::Rekeyed::DONE) {
    counts.rekeyed++;
    for (auto& known : keeper.merged()) {
      if (known.identity.deviceId == deviceId) audit.append(known.name, "", "rekey", CallStatus::OK, 0);
    }
    hooks.trustChanged();
  }
  return rekeyed;
}

bool Pairer::isOpen() const {
  return current != nullptr && current->isWaiting();
}

void Pairer::take(kj::Own<kj::AsyncIoStream> stream, SocketAddress remote) {
  KJ_REQUIRE(isOpen());
  current->take(kj::mv(stream), remote);
}

kj::Maybe<Outcome> Pairer::obstacle(kj::StringPtr name, const PublicIdentity& peer) {
  counts.codes++;  // asked once for each exchange that came to its code
  return keeper.obstacle(name, peer.deviceId.asPtr()).map(outcomeOf);
}

void Pairer::trust(kj::StringPtr name, const PublicIdentity& peer) {
  kj::Maybe<SocketAddress> address;
  if (givenAddress.size() > 0) {
    KJ_IF_MAYBE (route, hooks.findRoute(givenAddress)) address = route->to;
  }
  keeper.add(name, peer.clone(), address);
  counts.paired++;
  hooks.trustChanged();
}

void Pairer::note(kj::StringPtr name, kj::Maybe<const PublicIdentity&> peer, Outcome outcome) {
  auto who = outcome == Outcome::OK ? kj::str(name) : kj::str("stranger");
  KJ_IF_MAYBE (p, peer) {
    if (outcome != Outcome::OK) who = kj::str("stranger:", p->deviceId.slice(0, STRANGER_ID_CHARS));
  }
  audit.append(who, "", "pair", verdictOf(outcome), 0);
}

Outcome outcomeOf(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::NO_STORE:
      return Outcome::NO_TRUST_FILE;
    case Obstacle::NAME_TAKEN:
      return Outcome::NAME_TAKEN;
    case Obstacle::DEVICE_KNOWN:
      return Outcome::ALREADY_TRUSTED;
    case Obstacle::FULL:
      return Outcome::TABLE_FULL;
  }
  KJ_UNREACHABLE;
}

kj::StringPtr reasonOf(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::NO_STORE:
      return "the configuration names no trustFile to keep paired peers in"_kj;
    case Obstacle::NAME_TAKEN:
      return "the configuration has a trust entry of that name"_kj;
    case Obstacle::DEVICE_KNOWN:
      return "that device is trusted already, under another name"_kj;
    case Obstacle::FULL:
      return "the trust table is full (maxTrustedPeers)"_kj;
  }
  KJ_UNREACHABLE;
}

}  // namespace nexus
