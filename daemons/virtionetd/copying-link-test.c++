#include "daemons/virtionetd/copying-link.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

TEST_CASE("an address is taken as configured, or drawn locally administered and individual") {
  FixedEntropy entropy(7);
  CHECK(kj::str(configuredMac("52:54:00:12:34:0a", entropy)) == "52:54:00:12:34:0a");
  auto first = configuredMac("", entropy), second = configuredMac("", entropy);
  CHECK(first != second);
  for (int i = 0; i < 100; i++) {
    auto mac = configuredMac("", entropy);
    CHECK((mac.bytes[0] & 3) == 2);
  }
}

TEST_CASE("an address that no station may have is refused") {
  FixedEntropy entropy;
  for (auto text : {"52:54:00:12:34", "hello", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"}) {
    CHECK_THROWS(configuredMac(text, entropy));
  }
}

}  // namespace
}  // namespace nexus
