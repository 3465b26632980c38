#include "daemons/dsoftbusd/discovery/discovery-ways.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

const auto GROUP = IpAddress::v4(239, 42, 0, 1), SUBNET = IpAddress::v4(10, 42, 0, 255),
           PEER = IpAddress::v4(10, 9, 0, 2);

using Way = DiscoveryWay;

kj::String round(DiscoveryWays& ways, bool multicast, bool broadcast, bool fixed) {
  ways.beginRound();
  auto report = [&](Way way, const IpAddress& to, bool works) {
    if (works)
      ways.sent(way, to);
    else
      ways.failed(way, to, "denied");
  };
  report(Way::MULTICAST, GROUP, multicast);
  report(Way::BROADCAST, SUBNET, broadcast);
  report(Way::STATIC, PEER, fixed);
  return ways.endRound().orDefault(kj::str("(no line)"));
}

TEST_CASE("multicast is in use where it works, then broadcast, then the configured addresses, and the line says why") {
  DiscoveryWays ways;
  CHECK(round(ways, true, true, true) == "multicast to 239.42.0.1");
  CHECK(round(ways, false, true, true) == "broadcast to 10.42.0.255, because multicast to 239.42.0.1 failed (denied)");
  CHECK(round(ways, false, false, true) ==
        "static to 10.9.0.2, because multicast to 239.42.0.1 failed (denied), "
        "broadcast to 10.42.0.255 failed (denied)");
  CHECK(round(ways, false, false, false).startsWith("none: multicast to 239.42.0.1 failed (denied), broadcast"));
  CHECK(round(ways, true, false, false) == "multicast to 239.42.0.1");
}

TEST_CASE("one line for each change, none for a round like the one before") {
  DiscoveryWays ways;
  round(ways, true, true, true);
  CHECK(round(ways, true, true, true) == "(no line)");
  CHECK(round(ways, true, false, false) == "(no line)");  // still multicast
  CHECK(round(ways, false, true, true) != "(no line)");
  CHECK(round(ways, false, true, false) == "(no line)");
}

TEST_CASE("both groups are one way, and one of them is enough") {
  DiscoveryWays ways;
  ways.beginRound();
  ways.failed(Way::MULTICAST, GROUP, "unreachable");
  ways.sent(Way::MULTICAST, KJ_ASSERT_NONNULL(IpAddress::tryParse("ff02::4e58:5342")));
  CHECK(KJ_ASSERT_NONNULL(ways.endRound()) == "multicast to ff02::4e58:5342");
}

TEST_CASE("a node that is told nothing says so once") {
  DiscoveryWays ways;
  ways.beginRound();
  CHECK(KJ_ASSERT_NONNULL(ways.endRound()) == "none: nothing is configured");
  ways.beginRound();
  CHECK(ways.endRound() == nullptr);
  CHECK(ways.inUse() == "none: nothing is configured");
}

}  // namespace
}  // namespace nexus
