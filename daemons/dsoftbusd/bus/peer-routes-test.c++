#include "daemons/dsoftbusd/bus/peer-routes.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

class Nowhere final : public Transport {
 public:
  kj::Promise<Dialed> dial(const SocketAddress&) override { return Dialed(DialFailure{kj::str("nowhere")}); }
};

SocketAddress at(kj::byte last) {
  return {IpAddress::v4(10, 42, 0, last), 34567};
}

kj::Array<SocketAddress> turns(PeerRoutes& routes, size_t count) {
  auto list = kj::heapArrayBuilder<SocketAddress>(count);
  for (size_t i = 0; i < count; i++) {
    list.add(KJ_ASSERT_NONNULL(routes.next()).to);
    routes.failed(false);
  }
  return list.finish();
}

TEST_CASE("nothing is dialled without an address, and nothing without a link") {
  Nowhere link;
  PeerRoutes routes;
  CHECK(!routes.isKnown());
  CHECK(!routes.hasLink());
  CHECK(routes.next() == nullptr);
  routes.setTransport(0, link);
  CHECK(routes.hasLink());
  CHECK(routes.next() == nullptr);
  PeerRoute heard{0, at(11)};
  CHECK(routes.setHeard(kj::arrayPtr(&heard, 1)));
  CHECK(routes.isKnown());
  CHECK(KJ_ASSERT_NONNULL(routes.next()).to == at(11));
  CHECK(routes.contains(at(11)));
  CHECK(!routes.contains(at(12)));
  routes.setTransport(0, nullptr);
  CHECK(!routes.contains(at(11)));
  CHECK(routes.next() == nullptr);
}

TEST_CASE("addresses are tried in turn: what was heard, best first, then the one of the trust entry over every link") {
  Nowhere first, second;
  PeerRoutes routes(at(99));
  routes.setTransport(0, first);
  routes.setTransport(1, second);
  PeerRoute heard[] = {{1, at(11)}, {0, at(12)}};
  routes.setHeard(heard);
  CHECK(&KJ_ASSERT_NONNULL(routes.next()).over == &second);
  CHECK(turns(routes, 5) == kj::arr(at(11), at(12), at(99), at(99), at(11)));
}

TEST_CASE("an address that is both heard and configured is tried once a turn") {
  Nowhere link;
  PeerRoutes routes(at(11));
  routes.setTransport(0, link);
  PeerRoute heard[] = {{0, at(11)}, {0, at(12)}};
  routes.setHeard(heard);
  CHECK(turns(routes, 3) == kj::arr(at(11), at(12), at(11)));
}

TEST_CASE("the address of the trust entry can be changed and taken away") {
  Nowhere link;
  PeerRoutes routes(at(99));
  routes.setTransport(0, link);
  routes.setFixed(at(98));
  CHECK(KJ_ASSERT_NONNULL(routes.next()).to == at(98));
  routes.setFixed(nullptr);
  CHECK(routes.next() == nullptr);
  CHECK(!routes.isKnown());
}

TEST_CASE("the same again changes nothing, another list starts over") {
  Nowhere link;
  PeerRoutes routes;
  routes.setTransport(0, link);
  PeerRoute heard[] = {{0, at(11)}, {0, at(12)}}, other[] = {{0, at(13)}, {0, at(12)}};
  CHECK(routes.setHeard(heard));
  routes.failed(false);
  CHECK(!routes.setHeard(heard));
  CHECK(KJ_ASSERT_NONNULL(routes.next()).to == at(12));
  CHECK(routes.setHeard(other));
  CHECK(KJ_ASSERT_NONNULL(routes.next()).to == at(13));
}

TEST_CASE("an address that says another port again and again keeps no other from its turn") {
  Nowhere link;
  PeerRoutes routes;
  routes.setTransport(0, link);
  for (uint16_t port = 1; port <= 4; port++) {
    PeerRoute heard[] = {{0, {at(11).address, port}}, {0, at(12)}};
    CHECK(routes.setHeard(heard));
    CHECK(KJ_ASSERT_NONNULL(routes.next()).to == (port % 2 == 1 ? heard[0].at : at(12)));
    routes.failed(false);
  }
}

TEST_CASE("routes are all denied when each was in one turn, not before, and not once something has changed") {
  Nowhere link;
  PeerRoutes routes;
  routes.setTransport(0, link);
  CHECK(!routes.allDenied());
  PeerRoute heard[] = {{0, at(11)}, {0, at(12)}};
  routes.setHeard(heard);
  routes.failed(true);
  CHECK(!routes.allDenied());
  routes.failed(true);
  CHECK(routes.allDenied());
  routes.worked();
  CHECK(!routes.allDenied());
  routes.failed(true), routes.failed(false), routes.failed(true);
  CHECK(!routes.allDenied());
  routes.failed(true);
  CHECK(routes.allDenied());
  routes.setTransport(0, link);
  CHECK(!routes.allDenied());
}

}  // namespace
}  // namespace nexus
