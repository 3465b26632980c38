#include "daemons/dsoftbusd/discovery/peer-table.h"

#include <kj/debug.h>
#include <kj/vector.h>

#include <algorithm>

namespace nexus {

bool PeerTable::Bucket::take(kj::TimePoint now, kj::uint perSecond, kj::uint burst) {
  // Time that goes backwards fills nothing.
  double seconds = now > updated ? double((now - updated) / kj::MICROSECONDS) / 1e6 : 0;
  tokens = kj::min(double(burst), tokens + seconds * perSecond);
  updated = kj::max(now, updated);
  if (tokens < 1) return false;
  tokens -= 1;
  return true;
}

PeerTable::PeerTable(kj::TimePoint now, const PeerTableLimits& limits)
    : limits(limits), total{double(limits.totalBurst), now}, trustedTotal(total) {
  KJ_REQUIRE(limits.capacity > 0 && limits.sources > 0, "a table without room");
}

// Makes the source the most recently heard.
PeerTable::Bucket& PeerTable::bucketOf(const IpAddress& source, kj::TimePoint now) {
  KJ_IF_MAYBE (known, sourceAt.find(source)) {
    sources.splice(sources.begin(), sources, *known);
    return sources.front().bucket;
  }
  if (sources.size() >= limits.sources) {
    sourceAt.erase(sources.back().address);
    sources.pop_back();
    counts.sourcesForgotten++;
  }
  sources.push_front({source, {double(limits.burst), now}});
  sourceAt.insert(source, sources.begin());
  return sources.front().bucket;
}

bool PeerTable::admit(const IpAddress& source, kj::TimePoint now, kj::FunctionParam<bool()> isTrusted) {
  // The source's own limit first: a loud neighbour must not use up what all share.
  if (!bucketOf(source, now).take(now, limits.perSecond, limits.burst)) {
    counts.floodedSource++;
    return false;
  }
  if (total.take(now, limits.totalPerSecond, limits.totalBurst)) return true;
  if (!isTrusted() || !trustedTotal.take(now, limits.totalPerSecond, limits.totalBurst)) {
    counts.floodedTotal++;
    return false;
  }
  return true;
}

PeerTable::Heard PeerTable::hear(Announce announce, const PeerPlace& from, bool trusted, kj::TimePoint now) {
  auto known = find(announce.deviceId);
  if (known == peers.end()) {
    if (peers.size() >= limits.capacity && !makeRoom(trusted)) {
      counts.refused++;
      return Heard::REFUSED;
    }
    auto& peer = peers.emplace_front(Peer{kj::mv(announce), {}, trusted, now});
    peer.places.add(Peer::HeardAt{from, peer.announce.sessionPort, now});
    counts.learned++;
    changed();
    return Heard::LEARNED;
  }
  peers.splice(peers.begin(), peers, known);
  auto& peer = peers.front();
  peer.lastHeard = now;
  bool moved = notePlace(peer, from, announce.sessionPort, now);
  if (!moved && peer.announce == announce && peer.trusted == trusted) {
    counts.unchanged++;
    return Heard::UNCHANGED;
  }
  peer.announce = kj::mv(announce);
  peer.trusted = trusted;
  counts.changed++;
  changed();
  return Heard::CHANGED;
}

bool PeerTable::notePlace(Peer& peer, const PeerPlace& from, uint16_t sessionPort, kj::TimePoint now) {
  for (auto& known : peer.places) {
    if (known.place != from) continue;
    bool moved = known.sessionPort != sessionPort;
    known.sessionPort = sessionPort;
    known.lastHeard = now;
    return moved;
  }
  if (peer.places.size() >= MAX_PLACES) {
    auto stalest = std::min_element(peer.places.begin(), peer.places.end(),
                                    [](auto& a, auto& b) { return a.lastHeard < b.lastHeard; });
    std::rotate(stalest, stalest + 1, peer.places.end());
    peer.places.removeLast();
  }
  peer.places.add(Peer::HeardAt{from, sessionPort, now});
  std::rotate(peer.places.begin(), peer.places.end() - 1, peer.places.end());
  return true;
}

bool PeerTable::makeRoom(bool trusted) {
  for (auto victim = peers.end(); victim != peers.begin();) {
    --victim;
    if (victim->trusted) continue;
    peers.erase(victim);
    counts.evicted++;
    return true;
  }
  if (!trusted) return false;
  peers.pop_back();
  counts.evicted++;
  return true;
}

std::list<Peer>::iterator PeerTable::find(kj::StringPtr deviceId) {
  return std::find_if(peers.begin(), peers.end(), [&](const Peer& p) { return p.announce.deviceId == deviceId; });
}

kj::Maybe<const Peer&> PeerTable::get(kj::StringPtr deviceId) {
  auto found = find(deviceId);
  if (found == peers.end()) return nullptr;
  peers.splice(peers.begin(), peers, found);
  return peers.front();
}

kj::Maybe<const Peer&> PeerTable::peek(kj::StringPtr deviceId) const {
  for (auto& peer : peers) {
    if (peer.announce.deviceId == deviceId) return peer;
  }
  return nullptr;
}

void PeerTable::drop(kj::FunctionParam<bool(const Announce&)> isForged) {
  auto dropped = peers.remove_if([&](const Peer& peer) { return isForged(peer.announce); });
  if (dropped > 0) changed();
}

kj::Array<kj::String> PeerTable::retrust(kj::FunctionParam<bool(const Announce&)> isTrusted) {
  kj::Vector<kj::String> newlyTrusted;
  for (auto& peer : peers) {
    bool trusted = isTrusted(peer.announce);
    if (trusted && !peer.trusted) newlyTrusted.add(kj::str(peer.announce.deviceId));
    peer.trusted = trusted;
  }
  changed();
  return newlyTrusted.releaseAsArray();
}

kj::Array<kj::String> PeerTable::expire(kj::TimePoint now) {
  kj::Vector<kj::String> touched;
  for (auto peer = peers.begin(); peer != peers.end();) {
    auto& places = peer->places;
    auto stale =
        std::remove_if(places.begin(), places.end(), [&](auto& at) { return now - at.lastHeard >= limits.timeToLive; });
    if (stale != places.end()) touched.add(kj::str(peer->announce.deviceId));
    places.truncate(stale - places.begin());
    if (places.empty()) {
      counts.expired++;
      peer = peers.erase(peer);
    } else {
      ++peer;
    }
  }
  if (touched.size() > 0) changed();
  return touched.releaseAsArray();
}

kj::Maybe<kj::TimePoint> PeerTable::nextExpiry() const {
  kj::Maybe<kj::TimePoint> next;
  for (auto& peer : peers) {
    for (auto& at : peer.places) {
      auto end = at.lastHeard + limits.timeToLive;
      next = kj::min(end, next.orDefault(end));
    }
  }
  return next;
}

kj::Array<const Peer*> PeerTable::all() const {
  kj::Vector<const Peer*> result(peers.size());
  for (auto& peer : peers) result.add(&peer);
  return result.releaseAsArray();
}

void PeerTable::changed() {
  if (++changes == 0) changes = 1;
}

}  // namespace nexus
