#include "daemons/virtionetd/copying-link.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

TEST_CASE("an address is taken as configured, or drawn locally administered and individual") {
  FixedEntropy entropy(7);
  CHECK(kj::str(KJ_ASSERT_NONNULL(configuredMac("52:54:00:12:34:0a"))) == "52:54:00:12:34:0a");
  CHECK(configuredMac("") == nullptr);
  auto first = randomMac(entropy), second = randomMac(entropy);
  CHECK(first != second);
  for (int i = 0; i < 100; i++) {
    auto mac = randomMac(entropy);
    CHECK((mac.bytes[0] & 3) == 2);
  }
}

TEST_CASE("an address that no station may have is refused") {
  for (auto text : {"52:54:00:12:34", "hello", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"}) {
    CHECK_THROWS(configuredMac(text));
  }
}

}  // namespace
}  // namespace nexus
