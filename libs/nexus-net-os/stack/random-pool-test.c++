#include "libs/nexus-net-os/stack/random-pool.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

// Counts: the bytes of each draw are those of consecutive numbers.
class Counting final : public Entropy {
 public:
  int draws = 0;
  uint32_t last = 0;
  void fill(kj::ArrayPtr<kj::byte> out) override {
    draws++;
    REQUIRE(out.size() % sizeof(last) == 0);
    for (size_t at = 0; at < out.size(); at += sizeof(last)) {
      last++;
      memcpy(out.begin() + at, &last, sizeof(last));
    }
  }
};

TEST_CASE("every value drawn is handed out once, and one draw serves sixty-four") {
  Counting entropy;
  RandomPool pool(entropy);
  CHECK(entropy.draws == 0);
  constexpr int ROUNDS = 5;
  bool seen[ROUNDS * RandomPool::VALUES + 1] = {};
  for (size_t i = 0; i < ROUNDS * RandomPool::VALUES; i++) {
    uint32_t value = pool.next();
    REQUIRE(value >= 1);
    REQUIRE(value <= ROUNDS * RandomPool::VALUES);
    CHECK_FALSE(seen[value]);
    seen[value] = true;
  }
  CHECK(entropy.draws == ROUNDS);
}

}  // namespace
}  // namespace nexus
