#include "daemons/dsoftbusd/trust/trust-table.h"

#include <kj/debug.h>

namespace nexus {

namespace {

bool same(const PublicIdentity& a, const PublicIdentity& b) {
  return a.deviceId == b.deviceId && a.staticKey == b.staticKey;
}

}  // namespace

bool shareDevice(const TrustedPeer& a, const TrustedPeer& b) {
  if (a.find(b.identity.deviceId) != nullptr) return true;
  KJ_IF_MAYBE (previous, b.previous) return a.find(previous->identity.deviceId) != nullptr;
  return false;
}

// ---- one peer

kj::Maybe<const PublicIdentity&> TrustedPeer::find(kj::StringPtr deviceId) const {
  if (identity.deviceId == deviceId) return identity;
  KJ_IF_MAYBE (p, previous) {
    if (p->identity.deviceId == deviceId) return p->identity;
  }
  return nullptr;
}

bool TrustedPeer::accepts(const PublicIdentity& proven) const {
  KJ_IF_MAYBE (expected, find(proven.deviceId)) return same(*expected, proven);
  return false;
}

TrustedPeer TrustedPeer::clone() const {
  auto copy = TrustedPeer{kj::str(name), identity.clone(), dial, address, nullptr, paired};
  KJ_IF_MAYBE (p, previous) copy.previous = PreviousIdentity{p->identity.clone(), p->until, p->untilUtc};
  return copy;
}

bool TrustedPeer::operator==(const TrustedPeer& other) const {
  if (name != other.name || !same(identity, other.identity) || dial != other.dial || address != other.address ||
      paired != other.paired)
    return false;
  KJ_IF_MAYBE (p, previous) {
    KJ_IF_MAYBE (q, other.previous) return same(p->identity, q->identity) && p->until == q->until;
    return false;
  }
  return other.previous == nullptr;
}

// ---- the table

TrustTable::TrustTable(kj::Array<TrustedPeer> list) : peers(kj::mv(list)) {
  for (auto& a : peers) {
    for (auto& b : peers) {
      if (&a == &b) break;
      KJ_REQUIRE(a.name != b.name, "two entries of the trust table have the same name", a.name);
      KJ_REQUIRE(!shareDevice(a, b), "two entries of the trust table are the same device", a.name, b.name);
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
    if (peer.find(deviceId) != nullptr) return peer;
  }
  return nullptr;
}

kj::OneOf<const TrustedPeer*, kj::String> TrustTable::bind(const PublicIdentity& proven) const {
  KJ_IF_MAYBE (peer, findByDeviceId(proven.deviceId)) {
    KJ_IF_MAYBE (error, checkBinding(proven, KJ_ASSERT_NONNULL(peer->find(proven.deviceId)))) {
      return kj::str(peer->name, ": ", *error);
    }
    return peer;
  }
  return kj::str("the device is not in the trust table");
}

kj::Array<TrustedPeer> TrustTable::clone() const {
  return KJ_MAP(peer, peers) {
    return peer.clone();
  };
}

kj::Maybe<kj::TimePoint> TrustTable::nextGraceEnd() const {
  kj::Maybe<kj::TimePoint> first;
  for (auto& peer : peers) {
    KJ_IF_MAYBE (p, peer.previous) {
      if (first.map([&](kj::TimePoint t) { return p->until < t; }).orDefault(true)) first = p->until;
    }
  }
  return first;
}

void endGraces(kj::ArrayPtr<TrustedPeer> peers, kj::TimePoint now) {
  for (auto& peer : peers) {
    if (peer.previous.map([&](const PreviousIdentity& p) { return p.until <= now; }).orDefault(false)) {
      peer.previous = nullptr;
    }
  }
}

}  // namespace nexus
