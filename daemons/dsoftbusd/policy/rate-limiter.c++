#include "daemons/dsoftbusd/policy/rate-limiter.h"

#include <kj/debug.h>

namespace nexus {

RateLimiter::RateLimiter(kj::uint perSecond, kj::uint burst, size_t maxKeys)
    : perSecond(perSecond), burst(burst), maxKeys(maxKeys) {
  KJ_REQUIRE(perSecond > 0 && burst > 0 && maxKeys > 0, "a rate limit of zero allows nothing", perSecond, burst,
             maxKeys);
}

void RateLimiter::setLimits(kj::uint newPerSecond, kj::uint newBurst) {
  KJ_REQUIRE(newPerSecond > 0 && newBurst > 0, "a rate limit of zero allows nothing", newPerSecond, newBurst);
  perSecond = newPerSecond;
  burst = newBurst;
  for (auto& entry : buckets) entry.value.tokens = kj::min(burst, entry.value.tokens);
}

bool RateLimiter::tryTake(kj::StringPtr key, kj::TimePoint now) {
  if (buckets.find(key) == nullptr && buckets.size() >= maxKeys) {
    dropFull(now);
    if (buckets.size() >= maxKeys) {
      refused++;
      return false;
    }
  }
  auto& bucket = buckets.findOrCreate(
      key, [&]() { return kj::HashMap<kj::String, Bucket>::Entry{kj::str(key), Bucket{burst, now}}; });
  refill(bucket, now);
  if (bucket.tokens < 1) {
    refused++;
    return false;
  }
  bucket.tokens -= 1;
  return true;
}

void RateLimiter::refill(Bucket& bucket, kj::TimePoint now) const {
  if (now <= bucket.filledAt) return;
  double seconds = double((now - bucket.filledAt) / kj::NANOSECONDS) / 1e9;
  bucket.tokens = kj::min(burst, bucket.tokens + seconds * perSecond);
  bucket.filledAt = now;
}

void RateLimiter::dropFull(kj::TimePoint now) {
  buckets.eraseAll([&](kj::String&, Bucket& bucket) {
    refill(bucket, now);
    return bucket.tokens >= burst;
  });
}

}  // namespace nexus
