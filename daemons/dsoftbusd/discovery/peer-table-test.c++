#include "daemons/dsoftbusd/discovery/peer-table.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

using Heard = PeerTable::Heard;
constexpr kj::TimePoint START = kj::origin<kj::TimePoint>();

Announce announce(kj::StringPtr id, uint16_t port = 34567) {
  Announce a;
  a.deviceId = kj::heapString(id);
  a.sessionPort = port;
  return a;
}

IpAddress host(int n) {
  return IpAddress::v4(0x0a2a0000 + n);
}

struct Fixture {
  PeerTable table;
  explicit Fixture(const PeerTableLimits& limits = {}) : table(START, limits) {}

  Heard hear(kj::StringPtr id, kj::Duration since = 0 * kj::SECONDS, bool trusted = false) {
    return table.hear(announce(id), {host(1)}, trusted, START + since);
  }

  kj::String order() {
    return kj::strArray(KJ_MAP(p, table.all()) { return kj::str(p->announce.deviceId); }, " ");
  }
};

TEST_CASE("a peer that was heard is found with all its fields") {
  Fixture f;
  CHECK(f.table.peek("a") == nullptr);
  CHECK(f.table.hear(announce("a", 77), {host(3)}, true, START + 5 * kj::SECONDS) == Heard::LEARNED);
  auto& peer = KJ_ASSERT_NONNULL(f.table.get("a"));
  CHECK(peer.announce == announce("a", 77));
  CHECK(peer.place() == PeerPlace{host(3)});
  CHECK(peer.trusted);
  CHECK(peer.lastHeard == START + 5 * kj::SECONDS);
}

TEST_CASE("a full table drops the least recently used") {
  Fixture f({.capacity = 2});
  f.hear("a");
  f.hear("b");
  CHECK(f.hear("c") == Heard::LEARNED);
  CHECK(f.order() == "c b");
  CHECK(f.table.counters().evicted == 1);
}

TEST_CASE("the table never exceeds its default bound of 16") {
  Fixture f;
  for (int i = 0; i < 100; i++) {
    f.hear(kj::str("peer", i));
    CHECK(f.table.size() <= 16);
  }
  CHECK(f.table.size() == 16);
  CHECK(f.table.counters().evicted == 84);
}

TEST_CASE("an update replaces the peer and moves it to the front") {
  Fixture f({.capacity = 2});
  f.hear("a");
  f.hear("b");
  CHECK(f.table.hear(announce("a", 1), {host(1)}, false, START) == Heard::CHANGED);
  CHECK(f.order() == "a b");
  CHECK(KJ_ASSERT_NONNULL(f.table.peek("a")).announce.sessionPort == 1);
  f.hear("c");
  CHECK(f.order() == "c a");
}

TEST_CASE("get moves to the front, peek does not") {
  Fixture f;
  f.hear("a");
  f.hear("b");
  f.table.peek("a");
  CHECK(f.order() == "b a");
  f.table.get("a");
  CHECK(f.order() == "a b");
}

TEST_CASE("the same announcement again is reported once") {
  Fixture f;
  CHECK(f.hear("a") == Heard::LEARNED);
  auto generation = f.table.generation();
  CHECK(f.hear("a") == Heard::UNCHANGED);
  CHECK(f.table.generation() == generation);
  CHECK(f.table.counters().unchanged == 1);
}

TEST_CASE("a change of port, key, services, address or trust is a change") {
  Fixture f;
  f.hear("a");
  auto changed = [&](Announce a, int from = 1, bool trusted = false) {
    auto before = f.table.generation();
    bool result = f.table.hear(kj::mv(a), {host(from)}, trusted, START) == Heard::CHANGED;
    CHECK(f.table.generation() != before);
    f.hear("a");
    return result;
  };
  CHECK(changed(announce("a", 1)));
  auto otherKey = announce("a");
  otherKey.staticKey[5] = 1;
  CHECK(changed(kj::mv(otherKey)));
  auto otherServices = announce("a");
  otherServices.services = kj::heapArray<kj::String>(1);
  CHECK(changed(kj::mv(otherServices)));
  CHECK(changed(announce("a"), 2));
  CHECK(changed(announce("a"), 1, true));
}

TEST_CASE("a peer that is silent for its time to live is dropped, and not a moment sooner") {
  Fixture f({.timeToLive = 10 * kj::SECONDS});
  f.hear("a");
  f.hear("b", 4 * kj::SECONDS);
  CHECK(KJ_ASSERT_NONNULL(f.table.nextExpiry()) == START + 10 * kj::SECONDS);
  CHECK(f.table.expire(START + 10 * kj::SECONDS - kj::NANOSECONDS).size() == 0);
  auto gone = f.table.expire(START + 10 * kj::SECONDS);
  REQUIRE(gone.size() == 1);
  CHECK(gone[0] == "a");
  CHECK(f.order() == "b");
  CHECK(f.table.counters().expired == 1);
  CHECK(KJ_ASSERT_NONNULL(f.table.nextExpiry()) == START + 14 * kj::SECONDS);
  CHECK(f.table.expire(START + 1 * kj::HOURS).size() == 1);
  CHECK(f.table.nextExpiry() == nullptr);
}

TEST_CASE("an unchanged announcement renews the age") {
  Fixture f({.timeToLive = 10 * kj::SECONDS});
  f.hear("a");
  f.hear("a", 9 * kj::SECONDS);
  CHECK(f.table.expire(START + 10 * kj::SECONDS).size() == 0);
  CHECK(f.table.expire(START + 19 * kj::SECONDS).size() == 1);
}

TEST_CASE("a peer that comes back after it expired is learned again") {
  Fixture f({.timeToLive = 1 * kj::SECONDS});
  f.hear("a");
  f.table.expire(START + 1 * kj::SECONDS);
  CHECK(f.hear("a", 2 * kj::SECONDS) == Heard::LEARNED);
}

TEST_CASE("strangers do not push out trusted peers") {
  Fixture f({.capacity = 3});
  f.hear("friend1", 0 * kj::SECONDS, true);
  f.hear("stranger1");
  f.hear("friend2", 0 * kj::SECONDS, true);
  for (int i = 2; i < 100; i++) CHECK(f.hear(kj::str("stranger", i)) == Heard::LEARNED);
  CHECK(f.order() == "stranger99 friend2 friend1");
  CHECK(f.hear("friend3", 0 * kj::SECONDS, true) == Heard::LEARNED);
  CHECK(f.order() == "friend3 friend2 friend1");
  CHECK(f.hear("stranger100") == Heard::REFUSED);
  CHECK(f.table.counters().refused == 1);
  CHECK(f.hear("friend4", 0 * kj::SECONDS, true) == Heard::LEARNED);
  CHECK(f.order() == "friend4 friend3 friend2");
}

TEST_CASE("one source is admitted up to its burst, then at its rate") {
  Fixture f({.perSecond = 10, .burst = 20});
  for (int i = 0; i < 20; i++) CHECK(f.table.admit(host(1), START));
  CHECK_FALSE(f.table.admit(host(1), START));
  CHECK_FALSE(f.table.admit(host(1), START + 99 * kj::MILLISECONDS));
  CHECK(f.table.admit(host(1), START + 100 * kj::MILLISECONDS));
  CHECK_FALSE(f.table.admit(host(1), START + 100 * kj::MILLISECONDS));
  CHECK(f.table.counters().floodedSource == 3);
  int admitted = 0;
  for (int i = 0; i < 100; i++) admitted += f.table.admit(host(1), START + 1 * kj::HOURS);
  CHECK(admitted == 20);
}

TEST_CASE("a flood from one source does not silence another") {
  Fixture f;
  for (int i = 0; i < 1000; i++) f.table.admit(host(1), START);
  CHECK(f.table.admit(host(2), START));
}

TEST_CASE("many sources together are limited too") {
  Fixture f({.totalPerSecond = 100, .totalBurst = 200});
  int admitted = 0;
  for (int i = 0; i < 1000; i++) admitted += f.table.admit(host(i), START);
  CHECK(admitted == 200);
  CHECK(f.table.counters().floodedTotal == 800);
  CHECK(f.table.admit(host(5000), START + 10 * kj::MILLISECONDS));
}

TEST_CASE("a crowd does not silence trusted devices, which have a share of their own, and no more than that") {
  Fixture f({.totalPerSecond = 100, .totalBurst = 200});
  for (int i = 0; i < 1000; i++) f.table.admit(host(i), START);
  auto trusted = [] { return true; };
  int admitted = 0;
  for (int i = 1000; i < 2000; i++) admitted += f.table.admit(host(i), START, trusted);
  CHECK(admitted == 200);
  CHECK(f.table.counters().floodedTotal == 800 + 800);
  CHECK(f.table.admit(host(5000), START + 10 * kj::MILLISECONDS));
  CHECK(f.table.admit(host(5001), START + 10 * kj::MILLISECONDS, trusted));
}

TEST_CASE("one source that floods is not heard beyond its rate whoever it says it is") {
  Fixture f({.perSecond = 10, .burst = 20});
  bool asked = false;
  int admitted = 0;
  for (int i = 0; i < 1000; i++) admitted += f.table.admit(host(1), START, [&] { return asked = true; });
  CHECK(admitted == 20);
  CHECK_FALSE(asked);
}

TEST_CASE("no more sources are remembered than the bound") {
  Fixture f({.burst = 1, .totalBurst = 1000, .sources = 4});
  for (int i = 0; i < 4; i++) f.table.admit(host(i), START);
  CHECK(f.table.counters().sourcesForgotten == 0);
  CHECK_FALSE(f.table.admit(host(0), START));  // remembered, and heard again just now
  CHECK(f.table.admit(host(9), START));        // host 1 is forgotten
  CHECK(f.table.counters().sourcesForgotten == 1);
  CHECK_FALSE(f.table.admit(host(0), START));
  CHECK(f.table.admit(host(1), START));
}

TEST_CASE("time that goes backwards admits nothing extra") {
  Fixture f({.burst = 1});
  CHECK(f.table.admit(host(1), START + 10 * kj::SECONDS));
  CHECK_FALSE(f.table.admit(host(1), START));
  CHECK_FALSE(f.table.admit(host(1), START + 10 * kj::SECONDS));
}

kj::String places(const PeerTable& table, kj::StringPtr id) {
  auto& peer = KJ_ASSERT_NONNULL(table.peek(id));
  return kj::strArray(KJ_MAP(at, peer.places) { return kj::str(at.place.link, "/", at.place.address); }, " ");
}

TEST_CASE("a peer is at every place where it is heard, the newest first, and each ages by itself") {
  Fixture f;
  auto hear = [&](int host_, size_t link, int second) {
    return f.table.hear(announce("a"), {host(host_), link}, true, START + second * kj::SECONDS);
  };
  CHECK(hear(1, 0, 0) == Heard::LEARNED);
  CHECK(hear(2, 0, 10) == Heard::CHANGED);
  CHECK(hear(1, 1, 20) == Heard::CHANGED);  // the same address on another link is another place
  CHECK(places(f.table, "a") == "1/10.42.0.1 0/10.42.0.2 0/10.42.0.1");
  CHECK(hear(1, 0, 30) == Heard::UNCHANGED);  // heard again: the order stays
  CHECK(places(f.table, "a") == "1/10.42.0.1 0/10.42.0.2 0/10.42.0.1");
  CHECK(KJ_ASSERT_NONNULL(f.table.nextExpiry()) == START + 70 * kj::SECONDS);
  CHECK(f.table.expire(START + 70 * kj::SECONDS).size() == 1);
  CHECK(places(f.table, "a") == "1/10.42.0.1 0/10.42.0.1");
  CHECK(f.table.counters().expired == 0);
  CHECK(f.table.expire(START + 90 * kj::SECONDS).size() == 1);
  CHECK(f.table.size() == 0);
  CHECK(f.table.counters().expired == 1);
}

TEST_CASE("a port is that of the place it was announced from, whatever is announced from elsewhere") {
  Fixture f;
  auto hear = [&](int host_, uint16_t port) { return f.table.hear(announce("a", port), {host(host_)}, true, START); };
  auto sessions = [&] {
    auto& peer = KJ_ASSERT_NONNULL(f.table.peek("a"));
    return kj::strArray(KJ_MAP(at, peer.places) { return kj::str(at.place.address, ":", at.sessionPort); }, " ");
  };
  CHECK(hear(1, 34567) == Heard::LEARNED);
  CHECK(hear(2, 666) == Heard::CHANGED);
  CHECK(hear(2, 667) == Heard::CHANGED);
  CHECK(sessions() == "10.42.0.2:667 10.42.0.1:34567");
  CHECK(KJ_ASSERT_NONNULL(f.table.peek("a")).session() == SocketAddress{host(2), 667});
  CHECK(hear(1, 34568) == Heard::CHANGED);
  CHECK(sessions() == "10.42.0.2:667 10.42.0.1:34568");
}

TEST_CASE("of a fifth place the one unheard for longest makes room") {
  Fixture f;
  for (int i = 1; i <= 4; i++) f.table.hear(announce("a"), {host(i)}, true, START + i * kj::SECONDS);
  f.table.hear(announce("a"), {host(1)}, true, START + 5 * kj::SECONDS);
  f.table.hear(announce("a"), {host(5)}, true, START + 6 * kj::SECONDS);
  CHECK(places(f.table, "a") == "0/10.42.0.5 0/10.42.0.4 0/10.42.0.3 0/10.42.0.1");
}

TEST_CASE("a new trust table makes peers trusted or strangers, and names those that are trusted now") {
  PeerTable table(START);
  table.hear(announce("a"), {host(1)}, false, START);
  table.hear(announce("b"), {host(2)}, true, START);
  table.hear(announce("c"), {host(3)}, true, START);
  auto generation = table.generation();
  auto isTrusted = [](const Announce& a) { return a.deviceId != "b"_kj; };
  auto now = table.retrust(isTrusted);
  REQUIRE(now.size() == 1);
  CHECK(now[0] == "a"_kj);
  CHECK(KJ_ASSERT_NONNULL(table.peek("a"_kj)).trusted);
  CHECK_FALSE(KJ_ASSERT_NONNULL(table.peek("b"_kj)).trusted);
  CHECK(table.generation() != generation);
  CHECK(table.retrust(isTrusted).size() == 0);
}

TEST_CASE("peers that turn out to be forged are dropped, and no others") {
  Fixture f;
  for (auto id : {"a"_kj, "b"_kj}) f.table.hear(announce(id), {host(1)}, false, START);
  auto generation = f.table.generation();
  f.table.drop([](const Announce&) { return false; });
  CHECK(f.table.generation() == generation);
  f.table.drop([](const Announce& a) { return a.deviceId == "a"_kj; });
  CHECK(f.table.peek("a") == nullptr);
  CHECK(f.table.peek("b") != nullptr);
  CHECK(f.table.generation() != generation);
}

}  // namespace
}  // namespace nexus
