#include "tests/sim/sim-fabric.h"

#include <kj/debug.h>

#include <algorithm>

namespace nexus::sim {

uint16_t Node::ephemeralPort() {
  for (kj::uint tries = 0; tries < 16384; tries++) {
    if (++lastEphemeral == 0) lastEphemeral = 49152;
    if (listeners.count(lastEphemeral) == 0 && udpPorts.count(lastEphemeral) == 0) return lastEphemeral;
  }
  KJ_FAIL_ASSERT("every ephemeral port is taken", name);
}

Node& Fabric::add(kj::StringPtr name, IpAddress address, kj::byte prefixLength) {
  KJ_REQUIRE(findAddress(address) == nullptr, "two nodes with one address", name, address);
  nodes.push_back(Node{.name = kj::str(name), .address = address, .prefixLength = prefixLength});
  return nodes.back();
}

Node& Fabric::node(kj::StringPtr name) {
  auto found = std::find_if(nodes.begin(), nodes.end(), [&](const Node& n) { return n.name == name; });
  KJ_REQUIRE(found != nodes.end(), "no such node", name);
  return *found;
}

kj::Maybe<Node&> Fabric::findAddress(const IpAddress& address) {
  for (auto& n : nodes) {
    if (n.address == address) return n;
  }
  return nullptr;
}

void Fabric::heal(Node& node) {
  node.cut = false;
  retryLate();
}

void Fabric::retryLate() {
  std::deque<Late> waiting;
  std::swap(waiting, late);
  for (auto& item : waiting) sendReliable(item.from, item.to, timer.now() + latency, kj::mv(item.deliver));
}

void Fabric::sendUnreliable(Node& from, Node& to, kj::Duration delay, kj::Function<void()> deliver) {
  tasks.add(timer.afterDelay(delay).then([this, &from, &to, deliver = kj::mv(deliver)]() mutable {
    if (connected(from, to)) {
      deliver();
    } else {
      lost++;
    }
  }));
}

void Fabric::later(kj::Function<void()> deliver) {
  tasks.add(timer.afterDelay(latency).then(kj::mv(deliver)));
}

void Fabric::sendReliable(Node& from, Node& to, kj::TimePoint at, kj::Function<void()> deliver) {
  tasks.add(timer.atTime(at).then([this, &from, &to, deliver = kj::mv(deliver)]() mutable {
    if (connected(from, to)) {
      deliver();
    } else {
      late.push_back(Late{from, to, kj::mv(deliver)});
    }
  }));
}

}  // namespace nexus::sim
