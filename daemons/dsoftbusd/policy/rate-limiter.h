#pragma once
// A token bucket per key: `perSecond` tokens flow in up to `burst`, one call takes one. Time is handed in. Owned by
// whoever limits. The number of buckets is bounded: a bucket that is full again is the same as none and is dropped;
// when all are in use a new key is refused.
#include <kj/map.h>
#include <kj/string.h>
#include <kj/time.h>

namespace nexus {

class RateLimiter {
 public:
  // perSecond and burst: at least 1. maxKeys: bound of the table.
  RateLimiter(kj::uint perSecond, kj::uint burst, size_t maxKeys = 256);
  KJ_DISALLOW_COPY_AND_MOVE(RateLimiter);

  // From now on; no bucket holds more than the new burst.
  void setLimits(kj::uint perSecond, kj::uint burst);

  // Takes a token of `key`; false when there is none. `now` must not go back; if it does, no tokens are gained.
  bool tryTake(kj::StringPtr key, kj::TimePoint now);

  uint64_t refusedCount() const { return refused; }
  size_t keyCount() const { return buckets.size(); }

 private:
  struct Bucket {
    double tokens;
    kj::TimePoint filledAt;
  };

  double perSecond;
  double burst;
  size_t maxKeys;
  uint64_t refused = 0;
  kj::HashMap<kj::String, Bucket> buckets;

  void refill(Bucket& bucket, kj::TimePoint now) const;
  void dropFull(kj::TimePoint now);
};

}  // namespace nexus
