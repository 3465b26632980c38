// What the fuzzers do, in every test run: the seed corpus and many seeded random mutations of it.
#include "libs/nexus-net-os/stack/stack-fuzz.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/stack/frame-samples.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

// Flips, overwrites, cuts and repeats bytes.
Bytes mutate(kj::ArrayPtr<const kj::byte> seed, FixedEntropy& dice) {
  kj::Vector<kj::byte> out;
  out.addAll(seed);
  for (uint64_t n = 1 + dice.next() % 4; n > 0 && out.size() > 0; --n) {
    size_t at = dice.next() % out.size();
    static constexpr kj::byte EDGES[] = {0, 1, 7, 8, 0x7f, 0x80, 0xfe, 0xff};
    switch (dice.next() % 4) {
      case 0:
        out[at] ^= 1 << dice.next() % 8;
        break;
      case 1:
        out[at] = EDGES[dice.next() % sizeof(EDGES)];
        break;
      case 2:
        out.truncate(at);
        break;
      case 3: {
        auto tail = kj::heapArray<kj::byte>(out.asPtr().slice(at, kj::min(at + 16, out.size())));
        out.addAll(tail);
        break;
      }
    }
  }
  return out.releaseAsArray();
}

TEST_CASE("the filter survives every seed and many mutations") {
  auto view = sampleView();
  auto samples = frameSamples();
  for (uint64_t seed = 1; seed <= 20000; ++seed) {
    CAPTURE(seed);
    FixedEntropy dice(seed);
    auto frame = mutate(samples[seed % samples.size()].frame, dice);
    FrameFilter::check(frame, frame.size(), view);
  }
}

TEST_CASE("the stack survives every seed and many mutations, and still answers") {
  auto seeds = stackSeeds();
  for (auto& seed : seeds) fuzzStack(seed);
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    CAPTURE(seed);
    FixedEntropy dice(seed);
    fuzzStack(mutate(seeds[seed % seeds.size()], dice));
  }
}

}  // namespace
}  // namespace nexus
