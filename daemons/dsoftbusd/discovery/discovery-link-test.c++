#include "daemons/dsoftbusd/discovery/discovery-link.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/testing/sim-clock.h"
#include "tests/sim/sim-network.h"

namespace nexus {
namespace {

const auto A = IpAddress::v4(10, 42, 0, 10), X = IpAddress::v4(10, 42, 0, 66);

class Observer final : public BusObserver {
 public:
  kj::uint toX = 0;
  void onAnnounceSent(const IpAddress& to) override { toX += to == X ? 1 : 0; }
};

TEST_CASE("sixteen answers wait to be sent; one more is dropped and counted, and there is room once they have left") {
  SimClock sim;
  SimNetwork network{sim.timer};
  network.addNode("a", A);
  network.addNode("x", X);
  AnnounceSettings settings;
  settings.broadcast = false;
  auto packet = kj::heapArray<kj::byte>(100);
  DiscoveryCounters counters;
  Observer observer;
  DiscoveryLink link(sim.timer, settings, "net", packet, counters, observer,
                     [](const SocketAddress&, kj::ArrayPtr<const kj::byte>) {});
  sim.run(link.open(network.manager("a")));
  auto running = link.run().eagerlyEvaluate(nullptr);
  sim.settle();
  static_assert(DiscoveryLink::MAX_ANSWERS == 16);
  for (kj::uint round = 1; round <= 2; round++) {
    for (int i = 0; i < 16; i++) link.answer({X, 37020});
    CHECK(counters.answersDropped == (round - 1) * 3);
    for (int i = 0; i < 3; i++) link.answer({X, 37020});
    CHECK(counters.answersDropped == round * 3);
    sim.advance(100 * kj::MILLISECONDS);
    CHECK(observer.toX == round * 16);
  }
}

}  // namespace
}  // namespace nexus
