// A thousand machines on one segment, all switched on within seconds: each trusts its next neighbours on a ring and a
// few far away, and each must have a session with every one of them. Discovery is the hard part: every announcement
// reaches every machine. Plain runs take 250 machines; NEXUS_MACHINES=1000 the thousand.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <time.h>

#include <set>

#include "libs/nexus-net-os/testing/sim-clock.h"
#include "tests/sim/fleet-log.h"
#include "tests/sim/fleet-node.h"

namespace nexus {
namespace {

constexpr kj::uint NEIGHBOURS = 2, CHORDS = 2;  // to each side of the ring; elsewhere

class Crowd {
 public:
  Crowd(kj::uint machines, uint64_t seed) : machines(machines), random(seed) {
    for (auto i : kj::zeroTo(machines)) {
      for (auto n : kj::zeroTo(NEIGHBOURS)) befriend(i, (i + 1 + n) % machines);
      for (auto c = 0u; c < CHORDS; c++) befriend(i, random.next() % machines);
    }
    for (auto i : kj::zeroTo(machines)) network.addNode(FleetApp::machineName(i), FleetWire::addressOf(i), 16);
    for (auto i : kj::zeroTo(machines)) {
      FleetNode::Options options{.toml = tomlOf(i), .runsPrograms = false};
      nodes.add(kj::heap<FleetNode>(i, kj::mv(options), network, wire, books, seed, sim.timer.now(), sim.timer));
    }
  }

  void startWithin(kj::Duration all) {
    for (auto& node : nodes) {
      node->start();
      sim.advance(all / machines);
    }
  }

  // Friendships of which both ends have a live session.
  kj::uint met() {
    kj::uint count = 0;
    for (auto& pair : friends) {
      count += nodes[pair.first]->isReady(pair.second) && nodes[pair.second]->isReady(pair.first) ? 1 : 0;
    }
    return count;
  }

  kj::uint friendships() const { return friends.size(); }
  uint64_t delivered() const { return network.udpCounters().delivered; }
  uint64_t connections() const { return network.connectionCount(); }
  kj::Duration lived() { return sim.timer.now() - kj::origin<kj::TimePoint>(); }
  void advance(kj::Duration duration) { sim.advance(duration); }
  kj::ArrayPtr<const kj::String> violations() const { return trace.violations(); }

  kj::uint mostHeard() {
    size_t most = 0;
    for (auto& node : nodes) most = kj::max(most, node->daemon().peers().peers().size());
    return most;
  }

 private:
  const kj::uint machines;
  SimClock sim;
  FleetTrace trace{sim.timer};
  FleetLog log{trace};
  FixedEntropy random;
  std::set<std::pair<kj::uint, kj::uint>> friends;  // the lower number first
  FleetRights rights{1};
  CallLedger calls{trace, rights};
  StreamLedger streams{trace, rights, 1};
  FleetBooks books{trace, rights, calls, streams, 0};
  FleetWire wire{trace, 1};
  SimNetwork network{sim.timer};
  kj::Vector<kj::Own<FleetNode>> nodes;

  void befriend(kj::uint a, kj::uint b) {
    if (a != b) friends.insert({kj::min(a, b), kj::max(a, b)});
  }

  kj::String tomlOf(kj::uint machine) const {
    auto name = FleetApp::machineName(machine);
    auto toml = kj::str("[dsoftbusd]\nnodeName = \"", name, "\"\nallowTestIdentity = true\ntestIdentity = \"", name,
                        "\"\nbroadcast = false\n");
    for (auto& pair : friends) {
      if (pair.first != machine && pair.second != machine) continue;
      auto peer = FleetApp::machineName(pair.first == machine ? pair.second : pair.first);
      toml = kj::str(toml, "[[dsoftbusd.trust]]\nname = \"", peer, "\"\ntestIdentity = \"", peer, "\"\n");
    }
    return toml;
  }
};

TEST_CASE("a crowd of machines on one segment meets, each all whom it trusts, within ten seconds") {
  auto began = clock();
  auto* text = getenv("NEXUS_MACHINES");
  Crowd fleet(text == nullptr ? 250 : strtoul(text, nullptr, 10), 1);
  fleet.startWithin(3 * kj::SECONDS);
  kj::uint met = 0;
  while ((met = fleet.met()) < fleet.friendships() && fleet.lived() < 10 * kj::SECONDS) {
    fleet.advance(1 * kj::SECONDS);
  }
  CHECK(met == fleet.friendships());
  CHECK(fleet.connections() == fleet.friendships());
  CHECK(fleet.mostHeard() <= 16);
  CHECK(fleet.violations().size() == 0);
  auto cpu = double(clock() - began) / CLOCKS_PER_SEC;
  MESSAGE(met, " of ", fleet.friendships(), " sessions after ", fleet.lived() / kj::SECONDS, " s, ", fleet.delivered(),
          " datagrams, ", cpu, " s of CPU");
}

}  // namespace
}  // namespace nexus
