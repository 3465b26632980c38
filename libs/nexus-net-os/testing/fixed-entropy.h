#pragma once
// Randomness that repeats: a counter-based stream from a seed (SplitMix64). For tests only; say the seed when a test
// fails.
#include "libs/nexus-net-os/base/entropy.h"

namespace nexus {

class FixedEntropy final : public Entropy {
 public:
  explicit FixedEntropy(uint64_t seed = 1) : state(seed) {}

  void fill(kj::ArrayPtr<kj::byte> out) override {
    for (kj::byte& b : out) b = static_cast<kj::byte>(next() >> 32);
  }

  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

 private:
  uint64_t state;
};

}  // namespace nexus
