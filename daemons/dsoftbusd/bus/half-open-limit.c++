#include "daemons/dsoftbusd/bus/half-open-limit.h"

#include <kj/debug.h>

namespace nexus {

HalfOpenLimit::HalfOpenLimit(const HalfOpenLimits& limits)
    : limits(limits), strangersRate(limits.perSecond, limits.burst), knownRate(limits.perSecond, limits.burst) {}

kj::Maybe<kj::Own<HalfOpenLimit::Place>> HalfOpenLimit::tryEnter(const IpAddress& source, kj::TimePoint now,
                                                                 Standing standing) {
  if (countOf(source) >= limits.perSource) {
    counts.refusedSource++;
    return nullptr;
  }
  auto& rate = standing == Standing::UNKNOWN ? strangersRate : knownRate;
  if (!rate.tryTake(kj::str(source), now)) {
    counts.refusedRate++;
    return nullptr;
  }
  if (count() >= limits.total && !makeRoom(standing)) {
    counts.refusedTotal++;
    return nullptr;
  }
  return kj::heap<Place>(*this, source, standing);
}

// Takes a place for a newcomer of that standing; false when there is none to be taken.
bool HalfOpenLimit::makeRoom(Standing standing) {
  auto rank = [](const Place& place) { return int(place.standing) * 2 + (place.silent ? 0 : 1); };
  Place* victim = nullptr;
  for (auto& place : places) {
    if (place.standing > standing) continue;
    if (victim == nullptr || rank(place) < rank(*victim)) victim = &place;
  }
  if (victim == nullptr) return false;
  counts.taken++;
  places.remove(*victim);
  victim->taken.fire();
  return true;
}

kj::uint HalfOpenLimit::countOf(const IpAddress& source) const {
  kj::uint n = 0;
  for (auto& place : places) n += place.source == source ? 1 : 0;
  return n;
}

kj::uint HalfOpenLimit::mostOfOneSource() const {
  kj::uint most = 0;
  for (auto& place : places) most = kj::max(most, countOf(place.source));
  return most;
}

HalfOpenLimit::Place::Place(HalfOpenLimit& limit, const IpAddress& source, Standing standing)
    : limit(limit), source(source), standing(standing) {
  limit.places.add(*this);
}

HalfOpenLimit::Place::~Place() noexcept(false) {
  if (link.isLinked()) limit.places.remove(*this);
}

}  // namespace nexus
