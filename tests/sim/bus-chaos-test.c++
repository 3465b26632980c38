// Random accidents to a few nodes that all dial each other: whatever happens, once it stops, every pair has exactly one
// live session within a minute, and calls pass. The seed of a failing run is printed; the same seed is the same run.
#include <doctest/doctest.h>

#include <cstdlib>

#include "libs/oslite-frames/samgr-frames.h"
#include "tests/sim/sim-bus-node.h"

namespace nexus {
namespace {

constexpr kj::uint NODES = 3;

kj::String nodeName(kj::uint i) {
  return kj::str("node-", i);
}

kj::String tomlOf(kj::uint i) {
  auto toml = kj::str("[dsoftbusd]\nnodeName = \"", nodeName(i), "\"\nallowTestIdentity = true\ntestIdentity = \"",
                      nodeName(i), "\"\n");
  for (kj::uint peer = 0; peer < NODES; peer++) {
    if (peer == i) continue;
    toml = kj::str(toml, "[[dsoftbusd.trust]]\nname = \"", nodeName(peer), "\"\ntestIdentity = \"", nodeName(peer),
                   "\"\n[[dsoftbusd.policy]]\npeer = \"", nodeName(peer),
                   "\"\nservice = \"samgrd\"\noperations = [\"resolve-status\"]\n");
  }
  return toml;
}

class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random(seed) {
    for (kj::uint i = 0; i < NODES; i++) network.addNode(nodeName(i), IpAddress::v4(10, 42, 0, 10 + i));
    for (kj::uint i = 0; i < NODES; i++) nodes.add(kj::heap<SimBusNode>(sim, network, nodeName(i), tomlOf(i)));
  }

  void run() {
    for (int accidents = 0; accidents < 12; accidents++) {
      sim.advance((random.next() % 8000) * kj::MILLISECONDS + (random.next() % 1000) * kj::MICROSECONDS);
      accident(random.next() % NODES);
      sim.settle();
    }
    for (kj::uint i = 0; i < NODES; i++) {
      network.heal(nodeName(i));
      if (stackDown[i]) nodes[i]->startStack();
      if (down[i]) nodes[i]->start();
    }
    sim.advance(60 * kj::SECONDS);
  }

  void check() {
    CHECK(network.connectionCount() == NODES * (NODES - 1) / 2);
    auto frame = KJ_ASSERT_NONNULL(sm::tryEncodeResolveStatus("bundlemgrd"_kj.asArray()));
    for (kj::uint i = 0; i < NODES; i++) {
      for (kj::uint peer = 0; peer < NODES; peer++) {
        if (peer == i) continue;
        CAPTURE(i);
        CAPTURE(peer);
        CHECK(nodes[i]->state(nodeName(peer)) == idl::SessionState::READY);
        CHECK(nodes[i]->call(nodeName(peer), "samgrd", frame).status == CallStatus::OK);
      }
    }
  }

 private:
  SimClock sim;
  SimNetwork network{sim.timer};
  FixedEntropy random;
  kj::Vector<kj::Own<SimBusNode>> nodes;
  bool down[NODES] = {}, stackDown[NODES] = {};

  void accident(kj::uint i) {
    switch (random.next() % 6) {
      case 0:
        network.cut(nodeName(i));
        break;
      case 1:
        network.heal(nodeName(i));
        break;
      case 2:
        network.killConnections(nodeName(i));
        break;
      case 3:
        down[i] ? nodes[i]->start() : nodes[i]->stop();
        down[i] = !down[i];
        break;
      case 4:
        stackDown[i] ? nodes[i]->startStack() : nodes[i]->stopStack();
        stackDown[i] = !stackDown[i];
        break;
      case 5:
        if (!stackDown[i]) nodes[i]->restartStack();
        break;
    }
  }
};

TEST_CASE("after any accidents every pair of nodes has exactly one live session within a minute") {
  // NEXUS_SEED=N NEXUS_SEEDS=COUNT: others than these.
  auto* firstSeed = getenv("NEXUS_SEED");
  auto* seeds = getenv("NEXUS_SEEDS");
  uint64_t first = firstSeed == nullptr ? 1 : strtoull(firstSeed, nullptr, 10);
  uint64_t count = seeds == nullptr ? (firstSeed == nullptr ? 100 : 1) : strtoull(seeds, nullptr, 10);
  for (uint64_t seed = first; seed < first + count; seed++) {
    CAPTURE(seed);
    Chaos chaos(seed);
    chaos.run();
    chaos.check();
  }
}

}  // namespace
}  // namespace nexus
