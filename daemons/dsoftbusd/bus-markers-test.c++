#include "daemons/dsoftbusd/bus-markers.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

const auto OWN = IpAddress::v4(10, 0, 2, 15), ELSEWHERE = IpAddress::v4(10, 0, 2, 16);

struct Fixture {
  kj::Vector<kj::String> lines;
  BusMarkers markers{[this](const Marker& marker, kj::StringPtr detail) { lines.add(kj::str(marker.text, detail)); }};
};

TEST_CASE("a proxied call of node-a that was answered is marked once for each service") {
  Fixture f;
  RemoteCaller a{true, "node-a"_kj}, c{true, "node-c"_kj};
  f.markers.onDecision(c, "samgrd"_kj.asArray(), CallStatus::OK);
  f.markers.onDecision(a, "samgrd"_kj.asArray(), CallStatus::BACKEND_FAILED);
  f.markers.onDecision(a, "samgrd"_kj.asArray(), CallStatus::DENIED);
  CHECK(f.lines.size() == 0);
  f.markers.onDecision(a, "samgrd"_kj.asArray(), CallStatus::OK);
  f.markers.onDecision(a, "samgrd"_kj.asArray(), CallStatus::OK);
  f.markers.onDecision(a, "bundlemgrd"_kj.asArray(), CallStatus::OK);
  REQUIRE(f.lines.size() == 2);
  CHECK(f.lines[0] == marker::BUS_PROXY_OK_SAMGRD.text);
  CHECK(f.lines[1] == marker::BUS_PROXY_OK_BUNDLEMGRD.text);
}

TEST_CASE("a flood of refusals prints one line of each kind") {
  Fixture f;
  for (int i = 0; i < 100; i++) {
    f.markers.onRequest({false, "stranger:1"_kj});
    f.markers.onDecision({false, "stranger:1"_kj}, "samgrd"_kj.asArray(), CallStatus::UNAUTHENTICATED);
    f.markers.onServiceDenied({true, "node-a"_kj});
  }
  REQUIRE(f.lines.size() == 3);
  CHECK(f.lines[0] == marker::BUS_PROXY_RX.text);
  CHECK(f.lines[1] == marker::BUS_DENIED_UNAUTHENTICATED.text);
  CHECK(f.lines[2] == marker::BUS_DENIED_SERVICE.text);
}

TEST_CASE("each session that becomes live is told, and node-a and node-b by name") {
  Fixture f;
  f.markers.onAuthenticated("selftest");
  f.markers.onLive("selftest");
  f.markers.onLive("node-b");
  f.markers.onLive("node-b");
  REQUIRE(f.lines.size() == 6);
  CHECK(f.lines[0] == marker::BUS_AUTH_OK.text);
  CHECK(f.lines[1] == marker::BUS_OS_SESSION_OK.text);
  CHECK(f.lines[3] == marker::BUS_CROSS_SESSION_B.text);
  CHECK(f.lines[5] == marker::BUS_CROSS_SESSION_B.text);
}

TEST_CASE("what happens with another node on the same stack is told as that, and nothing else is") {
  Fixture f;
  const IpAddress own[] = {OWN};
  f.markers.onAddresses("net", own);
  f.markers.onAddresses("lan", nullptr);
  f.markers.onAnnounceSent(ELSEWHERE);
  f.markers.onPeerLearned("c", ELSEWHERE);
  f.markers.onConnection("node-a", ELSEWHERE, true);
  f.markers.onAuthenticated("node-a");
  f.markers.onLive("node-a");
  CHECK(kj::strArray(f.lines, "; ") ==
        "dsoftbusd: discovery announce sent; dsoftbusd: discovery peer learned; dsoftbusd: auth ok; "
        "dsoftbusd: os session ok; dsoftbusd: cross-vm session ok node-a");
  f.lines.clear();
  f.markers.onAnnounceSent(OWN);
  f.markers.onPeerLearned("b", OWN);
  f.markers.onConnection("node-b", OWN, true);
  CHECK(kj::strArray(f.lines, "; ") ==
        "dsoftbusd: discovery up (udp loopback); dsoftbusd: discovery peer found device=local; "
        "dsoftbusd: discovery peer learned; dsoftbusd: session connect peer=node-b");
  f.lines.clear();
  f.markers.onAuthenticated("node-b");
  f.markers.onLive("node-b");
  CHECK(kj::strArray(f.lines, "; ") ==
        "dsoftbusd: auth ok; dsoftbusd: identity bound peer=node-b; dsoftbusd: os session ok; "
        "dsoftbusd: dual-node session ok");
  f.lines.clear();
  f.markers.onConnection("selftest", OWN, false);  // a program of this node, no node
  f.markers.onLive("selftest");
  CHECK(kj::strArray(f.lines, "; ") == "dsoftbusd: os session ok");
  f.lines.clear();
  f.markers.onConnection("node-b", ELSEWHERE, false);  // it has moved to another machine
  f.markers.onLive("node-b");
  CHECK(kj::strArray(f.lines, "; ") == "dsoftbusd: os session ok; dsoftbusd: cross-vm session ok node-b");
}

TEST_CASE("a peer is learned once, and a flood of invented peers stops being printed") {
  Fixture f;
  f.markers.onPeerLearned("a", ELSEWHERE);
  f.markers.onPeerLearned("a", ELSEWHERE);
  CHECK(f.lines.size() == 1);
  for (int i = 0; i < 500; i++) f.markers.onPeerLearned(kj::str(i), ELSEWHERE);
  CHECK(f.lines.size() == 64);
}

}  // namespace
}  // namespace nexus
