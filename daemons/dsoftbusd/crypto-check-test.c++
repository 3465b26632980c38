#include "daemons/dsoftbusd/crypto-check.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

// An entropy source that gives the same byte for ever: the keys are weak, the mathematics still has to hold.
class StuckEntropy final : public Entropy {
 public:
  void fill(kj::ArrayPtr<kj::byte> out) override { memset(out.begin(), 7, out.size()); }
};

TEST_CASE("the libraries on this machine pass, whatever the keys") {
  FixedEntropy entropy(1);
  for (int i = 0; i < 10; i++) checkCryptography(entropy);
  StuckEntropy stuck;
  checkCryptography(stuck);
}

}  // namespace
}  // namespace nexus
