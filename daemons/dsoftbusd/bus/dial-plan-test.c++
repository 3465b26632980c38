#include "daemons/dsoftbusd/bus/dial-plan.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

kj::TimePoint at(int64_t ms) {
  return kj::origin<kj::TimePoint>() + (1000000 + ms) * kj::MILLISECONDS;
}
int64_t dueIn(const DialPlan& plan, int64_t now) {
  return (plan.due() - at(now)) / kj::MILLISECONDS;
}
PublicIdentity identity(kj::StringPtr name) {
  return DeviceIdentity::forTest(name).publicIdentity();
}
TrustedPeer entry(kj::StringPtr name) {
  return {kj::str("peer"), identity(name)};
}
TrustedPeer rotated(kj::StringPtr name, kj::StringPtr before) {
  auto peer = entry(name);
  peer.previous = PreviousIdentity{identity(before), at(1000000)};
  return peer;
}

TEST_CASE("a peer is dialled at once, and after each failure twice as late, up to the largest delay") {
  auto peer = entry("b");
  DialPlan plan(peer, {}, at(0));
  CHECK(dueIn(plan, 0) == 0);
  for (int64_t delay : {250, 500, 1000, 2000, 4000, 8000, 8000}) {
    plan.begun(at(0));
    plan.failed(peer, false, at(0));
    CHECK(dueIn(plan, 0) == delay);
  }
}

TEST_CASE("only a session that lived for five seconds starts the delays over") {
  DialPlan plan(entry("b"), {}, at(0));
  for (int64_t delay : {250, 500, 1000}) {
    plan.sessionEnded(4999 * kj::MILLISECONDS, at(0));
    CHECK(dueIn(plan, 0) == delay);
  }
  plan.sessionEnded(5 * kj::SECONDS, at(0));
  CHECK(dueIn(plan, 0) == 250);
}

TEST_CASE("announcements bring the next dial forward, to a second after the last one and no nearer") {
  auto peer = entry("b");
  DialPlan plan(peer, {}, at(0));
  plan.begun(at(0));
  for (int i = 0; i < 6; i++) plan.failed(peer, false, at(100));
  CHECK(dueIn(plan, 100) == 8000);
  plan.bringForward(at(200));
  CHECK(dueIn(plan, 200) == 800);
  plan.bringForward(at(300));
  CHECK(dueIn(plan, 200) == 800);
  plan.begun(at(1000));
  plan.failed(peer, false, at(1000));
  plan.bringForward(at(5000));
  CHECK(dueIn(plan, 5000) == 0);
}

TEST_CASE("an announcement never puts a dial off") {
  auto peer = entry("b");
  DialPlan plan(peer, {}, at(0));
  plan.begun(at(0));
  plan.failed(peer, false, at(0));
  plan.bringForward(at(10));
  CHECK(dueIn(plan, 0) == 250);
}

TEST_CASE("a peer that refuses is asked again after thirty seconds, an announcement of news excepted") {
  DialPlan plan(entry("b"), {}, at(0));
  plan.begun(at(0));
  plan.refused(at(0));
  CHECK(dueIn(plan, 0) == 30000);
  PeerRoute route{0, {IpAddress::v4(10, 0, 0, 1), 1}};
  CHECK(plan.setHeard(entry("b"), identity("b").deviceId, kj::arrayPtr(&route, 1)).anything);
  auto again = plan.setHeard(entry("b"), identity("b").deviceId, kj::arrayPtr(&route, 1));
  CHECK_FALSE(again.anything);
  CHECK_FALSE(again.ways);
}

TEST_CASE("while a peer changes its key and is not heard, each of its two keys is tried in turn") {
  auto peer = rotated("new", "old");
  DialPlan plan(peer, {}, at(0));
  CHECK(plan.target().deviceId == identity("new").deviceId);
  plan.failed(peer, false, at(0));
  CHECK(plan.target().deviceId == identity("old").deviceId);
  plan.failed(peer, false, at(0));
  CHECK(plan.target().deviceId == identity("new").deviceId);
}

TEST_CASE("a peer that is heard is dialled as the device that it announces, whatever fails") {
  auto peer = rotated("new", "old");
  DialPlan plan(peer, {}, at(0));
  PeerRoute route{0, {IpAddress::v4(10, 0, 0, 1), 1}};
  auto routes = kj::arrayPtr(&route, 1);
  auto news = plan.setHeard(peer, identity("old").deviceId, routes);
  CHECK(news.anything);
  CHECK(plan.target().deviceId == identity("old").deviceId);
  plan.failed(peer, false, at(0));
  CHECK(plan.target().deviceId == identity("old").deviceId);
  // The other key's announcements age out: nothing is known of this one by that.
  CHECK_FALSE(plan.setHeard(peer, identity("new").deviceId, nullptr).anything);
  CHECK(plan.routes().isKnown());
  // Its own do: each in turn again.
  plan.setHeard(peer, identity("old").deviceId, nullptr);
  plan.failed(peer, false, at(0));
  CHECK(plan.target().deviceId == identity("new").deviceId);
}

TEST_CASE("an entry that no longer has the target is dialled as the new one, at once and nowhere that was heard") {
  auto peer = entry("b");
  DialPlan plan(peer, {}, at(0));
  PeerRoute route{0, {IpAddress::v4(10, 0, 0, 1), 1}};
  plan.setHeard(peer, identity("b").deviceId, kj::arrayPtr(&route, 1));
  for (int i = 0; i < 4; i++) plan.failed(peer, false, at(0));
  CHECK_FALSE(plan.setEntry(rotated("b2", "b"), at(0)));
  CHECK(plan.target().deviceId == identity("b").deviceId);
  CHECK(dueIn(plan, 0) == 2000);
  CHECK(plan.setEntry(entry("b2"), at(0)));
  CHECK(plan.target().deviceId == identity("b2").deviceId);
  CHECK(dueIn(plan, 0) == 0);
  CHECK_FALSE(plan.routes().isKnown());
  plan.failed(peer, false, at(0));
  CHECK(dueIn(plan, 0) == 250);
}

}  // namespace
}  // namespace nexus
