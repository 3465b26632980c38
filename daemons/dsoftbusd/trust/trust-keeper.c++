#include "daemons/dsoftbusd/trust/trust-keeper.h"

#include <kj/debug.h>

namespace nexus {

namespace {

bool collide(const TrustedPeer& a, const TrustedPeer& b) {
  return a.name == b.name || shareDevice(a, b);
}

bool collidesWithAny(const TrustedPeer& peer, kj::ArrayPtr<const TrustedPeer> others) {
  for (auto& other : others) {
    if (collide(other, peer)) return true;
  }
  return false;
}

kj::Array<TrustedPeer> merge(kj::ArrayPtr<const TrustedPeer> configured, kj::ArrayPtr<const TrustedPeer> paired) {
  kj::Vector<TrustedPeer> peers;
  for (auto& peer : configured) peers.add(peer.clone());
  for (auto& peer : paired) {
    if (!collidesWithAny(peer, configured)) peers.add(peer.clone());
  }
  return peers.releaseAsArray();
}

}  // namespace

TrustKeeper::TrustKeeper(kj::Array<TrustedPeer> configuredPeers, size_t most, kj::Maybe<TrustStore&> store,
                         kj::Timer& timer, const kj::Clock& calendar)
    : configured(kj::mv(configuredPeers)), most(most), store(store), timer(timer), calendar(calendar) {
  KJ_IF_MAYBE (s, store) {
    paired = s->load();
    resolveGraces();
    for (auto& peer : paired) {
      peer.paired = true;
      auto& name = peer.name;
      if (collidesWithAny(peer, configured)) {
        KJ_LOG(WARNING, "a paired peer is hidden by an entry of the configuration", name);
      }
    }
  }
  checkSize(merged());
}

kj::Array<TrustedPeer> TrustKeeper::merged() const {
  auto peers = merge(configured, paired);
  endGraces(peers, timer.now());
  return peers;
}

// The file says until when by the calendar; from here on the timer counts.
void TrustKeeper::resolveGraces() {
  for (auto& peer : paired) {
    KJ_IF_MAYBE (p, peer.previous) p->until = timer.now() + (p->untilUtc - calendar.now());
  }
  endGraces(paired, timer.now());
}

void TrustKeeper::checkSize(kj::ArrayPtr<const TrustedPeer> peers) const {
  if (peers.size() <= most) return;
  size_t fromStore = 0;
  for (auto& peer : peers) fromStore += peer.paired ? 1 : 0;
  kj::throwFatalException(KJ_EXCEPTION(
      FAILED, kj::str(peers.size(), " trusted peers, of which ", peers.size() - fromStore, " are configured and ",
                      fromStore, " paired; at most ", most, ": raise maxTrustedPeers, or unpair some")));
}

void TrustKeeper::configure(kj::Array<TrustedPeer> peers) {
  checkSize(merge(peers, paired));
  configured = kj::mv(peers);
}

kj::Maybe<TrustKeeper::Obstacle> TrustKeeper::obstacle(kj::StringPtr name, kj::Maybe<kj::StringPtr> deviceId) const {
  if (store == nullptr) return Obstacle::NO_STORE;
  auto table = merged();
  bool replaces = false;
  for (auto& peer : table) {
    bool sameName = peer.name == name;
    if (sameName && !peer.paired) return Obstacle::NAME_TAKEN;
    bool sameDevice = false;
    KJ_IF_MAYBE (id, deviceId) sameDevice = peer.find(*id) != nullptr;
    if (sameDevice && !sameName) return Obstacle::DEVICE_KNOWN;
    replaces = replaces || sameName;
  }
  if (!replaces && table.size() >= most) return Obstacle::FULL;
  return nullptr;
}

void TrustKeeper::add(kj::StringPtr name, PublicIdentity identity, kj::Maybe<SocketAddress> address) {
  KJ_REQUIRE(isPlainPeerName(name) && obstacle(name, kj::StringPtr(identity.deviceId)) == nullptr,
             "that peer cannot be added");
  kj::Vector<TrustedPeer> peers;
  for (auto& peer : paired) {
    if (peer.name != name && peer.find(identity.deviceId) == nullptr) peers.add(peer.clone());
  }
  auto& added = peers.add(TrustedPeer{kj::str(name), kj::mv(identity)});
  added.paired = true;
  added.address = address;
  storePaired(peers.releaseAsArray());
}

TrustKeeper::Rekeyed TrustKeeper::rekey(kj::StringPtr wanted, PublicIdentity next, kj::Date until) {
  auto left = until - calendar.now();
  if (left <= 0 * kj::SECONDS) return Rekeyed::OVER;
  auto isWanted = [&](const TrustedPeer& peer) { return peer.name == wanted || peer.find(wanted) != nullptr; };
  auto table = merged();
  bool found = false;
  for (auto& peer : table) {
    if (isWanted(peer)) {
      if (!peer.paired) return Rekeyed::CONFIGURED;
      if (peer.identity.deviceId == next.deviceId) return Rekeyed::SAME_KEY;
      found = true;
    } else if (peer.find(next.deviceId) != nullptr) {
      return Rekeyed::DEVICE_KNOWN;
    }
  }
  if (!found) return Rekeyed::UNKNOWN;
  auto peers = KJ_MAP(peer, paired) {
    return peer.clone();
  };
  endGraces(peers, timer.now());
  for (auto& peer : peers) {
    if (!isWanted(peer)) continue;
    peer.previous = PreviousIdentity{kj::mv(peer.identity), timer.now() + left, until};
    peer.identity = kj::mv(next);
    break;
  }
  storePaired(kj::mv(peers));
  return Rekeyed::DONE;
}

TrustKeeper::Removed TrustKeeper::remove(kj::StringPtr wanted) {
  kj::Vector<TrustedPeer> peers;
  for (auto& peer : paired) {
    if (peer.name != wanted && peer.find(wanted) == nullptr) peers.add(peer.clone());
  }
  bool removed = peers.size() < paired.size();
  if (removed) storePaired(peers.releaseAsArray());
  // It may have been hidden by one of the configuration, which is trusted as before.
  for (auto& peer : configured) {
    if (peer.name == wanted || peer.find(wanted) != nullptr) return Removed::CONFIGURED;
  }
  return removed ? Removed::REMOVED : Removed::UNKNOWN;
}

void TrustKeeper::storePaired(kj::Array<TrustedPeer> peers) {
  KJ_ASSERT_NONNULL(store).save(peers);
  paired = kj::mv(peers);
}

kj::StringPtr TrustKeeper::storeName() const {
  KJ_IF_MAYBE (s, store) return s->describe();
  return nullptr;
}

}  // namespace nexus
