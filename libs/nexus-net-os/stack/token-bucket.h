#pragma once
// A rate limit: `rate` tokens a second, at most `rate` saved up. A value; time is an argument (nanoseconds, from
// anywhere, not going back).
#include <algorithm>
#include <cstdint>

namespace nexus {

class TokenBucket {
 public:
  explicit TokenBucket(uint32_t perSecond) : rate(perSecond), credit(uint64_t(perSecond) * SECOND) {}

  // Takes a token; false when there is none.
  bool take(uint64_t nowNs) {
    // Credit is counted in tokens times a second, so that no fraction is lost; more than a second of rest fills the
    // bucket.
    uint64_t passed = std::min(nowNs - last, SECOND);
    last = nowNs;
    credit = std::min(credit + passed * rate, uint64_t(rate) * SECOND);
    if (credit < SECOND) return false;
    credit -= SECOND;
    return true;
  }

 private:
  static constexpr uint64_t SECOND = 1'000'000'000;
  uint64_t rate;
  uint64_t credit;
  uint64_t last = 0;
};

}  // namespace nexus
