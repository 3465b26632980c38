// Needs root: the kernel shows physical addresses to nobody else.
#include "selftest/dma-probe/canary.h"

#include <doctest/doctest.h>

#include "selftest/dma-probe/physical-page.h"

namespace nexus {
namespace {

TEST_CASE("a page knows where it lies, and no two lie in the same place") {
  PhysicalPage first, second;
  CHECK(first.address() % PhysicalPage::SIZE == 0);
  CHECK(first.address() != second.address());
  auto before = first.address();
  PhysicalPage moved = kj::mv(first);
  CHECK(moved.address() == before);
}

TEST_CASE("a canary in another process has two pages of its own and reports them intact") {
  kj::byte secret[] = {1, 2, 3};
  CanaryProcess canary(secret);
  CHECK(canary.secretAddress() != canary.targetAddress());
  CHECK(canary.changedBytes() == 0);
  CHECK(canary.changedBytes() == 0);
}

TEST_CASE("a secret larger than a page is refused") {
  kj::byte secret[PhysicalPage::SIZE + 1]{};
  CHECK_THROWS(CanaryProcess(kj::arrayPtr(secret, sizeof(secret))));
}

}  // namespace
}  // namespace nexus
