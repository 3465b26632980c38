#include "daemons/dsoftbusd/bus/half-open-limit.h"

#include <kj/debug.h>

namespace nexus {

HalfOpenLimit::HalfOpenLimit(const HalfOpenLimits& limits) : limits(limits), rate(limits.perSecond, limits.burst) {}

kj::Maybe<kj::Own<HalfOpenLimit::Place>> HalfOpenLimit::tryEnter(const IpAddress& source, kj::TimePoint now) {
  auto key = kj::str(source);
  if (under >= limits.total) {
    counts.refusedTotal++;
    return nullptr;
  }
  if (bySource.find(key).map([](kj::uint& n) { return n; }).orDefault(0) >= limits.perSource) {
    counts.refusedSource++;
    return nullptr;
  }
  if (!rate.tryTake(key, now)) {
    counts.refusedRate++;
    return nullptr;
  }
  under++;
  bySource.findOrCreate(key, [&] { return kj::HashMap<kj::String, kj::uint>::Entry{kj::str(key), 0}; })++;
  return kj::heap<Place>(*this, source);
}

kj::uint HalfOpenLimit::mostOfOneSource() const {
  kj::uint most = 0;
  for (auto& source : bySource) most = kj::max(most, source.value);
  return most;
}

HalfOpenLimit::Place::~Place() noexcept(false) {
  auto key = kj::str(source);
  auto& n = KJ_ASSERT_NONNULL(limit.bySource.find(key));
  if (--n == 0) limit.bySource.erase(key);
  limit.under--;
}

}  // namespace nexus
