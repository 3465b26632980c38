#include "tests/sim/fleet.h"

#include <kj/debug.h>
#include <sodium.h>

namespace nexus {

Fleet::Fleet(FleetOptions o)
    : options(kj::mv(o)),
      timer(sim.timer),
      trace(sim.timer, kj::mv(options.print)),
      random(FleetTrace::scramble(options.seed)),
      rights(options.honest + options.strangers),
      calls(trace, rights),
      streams(trace, rights, options.seed),
      books{trace, rights, calls, streams, options.honest},
      wire(trace, FleetTrace::scramble(options.seed + 1)),
      network(sim.timer) {
  KJ_REQUIRE(sodium_init() >= 0);  // picks this processor's fast code; no randomness is drawn from it
  network.useWire(wire);
  wire.watch.forbid(streams.canary());
  for (auto right : {FleetRight::RESOLVE, FleetRight::LIST}) wire.watch.forbid(fleetService(right).asBytes());
  for (auto i : kj::zeroTo(FLEET_STREAM_NAMES)) wire.watch.forbid(fleetStreamName(i).asBytes());
  chooseRights();
  for (auto i : kj::zeroTo(options.honest)) {
    network.addNode(FleetApp::machineName(i), FleetWire::addressOf(i), 16);
  }
  for (auto i : kj::zeroTo(options.strangers)) {
    network.addNode(strangerName(i), FleetWire::addressOf(strangerMachine(i)), 16);
  }
  for (auto i : kj::zeroTo(options.honest)) {
    FleetNode::Options node{.toml = tomlOf(i), .app = options.app};
    nodes.add(kj::heap<FleetNode>(i, kj::mv(node), network, wire, books, options.seed, sim.timer.now()));
  }
}

Fleet::~Fleet() noexcept(false) = default;

// So that every seed has refusals and permissions of every kind.
void Fleet::chooseRights() {
  for (auto caller : kj::zeroTo(rights.machines)) {
    if (caller > options.honest) break;  // mallory is the last that may be named in a rule
    for (auto callee : kj::zeroTo(options.honest)) {
      for (auto right : kj::zeroTo(FLEET_RIGHTS)) {
        bool chosen = random.next() % 2 == 0 || options.everyRight;
        if (caller != callee && chosen) rights.allow(caller, callee, FleetRight(right));
      }
    }
  }
}

kj::String Fleet::tomlOf(kj::uint machine) const {
  kj::Vector<kj::String> toml;
  auto name = FleetApp::machineName(machine);
  toml.add(
      kj::str("[dsoftbusd]\nnodeName = \"", name, "\"\nallowTestIdentity = true\ntestIdentity = \"", name, "\"\n"));
  auto last = options.strangers > 0 ? options.honest : options.honest - 1;
  for (auto peer : kj::range<kj::uint>(0, last + 1)) {
    if (peer == machine) continue;
    auto peerName = FleetApp::machineName(peer);
    toml.add(kj::str("[[dsoftbusd.trust]]\nname = \"", peerName, "\"\ntestIdentity = \"", peerName, "\"\n",
                     peer == options.honest ? "dial = false\n" : ""));
    for (auto i : kj::zeroTo(FLEET_RIGHTS)) {
      auto right = FleetRight(i);
      if (!rights.allows(peer, machine, right)) continue;
      toml.add(kj::str("[[dsoftbusd.policy]]\npeer = \"", peerName, "\"\nservice = \"", fleetService(right),
                       "\"\noperations = [\"", fleetOperation(right), "\"]\n"));
    }
  }
  return kj::strArray(toml, "");
}

// ---- time

kj::TimePoint Fleet::nextEvent(kj::TimePoint end) {
  auto next = kj::min(end, sim.timer.nextEvent().orDefault(end));
  for (auto& node : nodes) {
    KJ_IF_MAYBE (at, node->clock.nextEvent()) next = kj::min(next, *at);
  }
  return kj::max(next, sim.timer.now());
}

bool Fleet::step(kj::TimePoint end) {
  sim.settle();
  auto next = nextEvent(end);
  sim.timer.advanceTo(next);
  for (auto& node : nodes) {
    KJ_IF_MAYBE (at, node->clock.nextEvent()) {
      if (*at <= next) wire.touch(node->machine);
    }
    node->clock.follow(next);
  }
  sim.settle();
  stepCount++;
  checkTouched();
  return next < end;
}

// Only what something has happened to can have changed.
void Fleet::checkTouched() {
  for (auto& node : nodes) {
    if (wire.wasTouched(node->machine)) checkMachine(*node, trace);
  }
  wire.forgetTouched();
}

void Fleet::advance(kj::Duration duration) {
  auto end = sim.timer.now() + duration;
  while (step(end)) {
  }
}

bool Fleet::advanceUntil(kj::FunctionParam<bool()> holds, kj::Duration within) {
  auto end = sim.timer.now() + within;
  while (!holds()) {
    if (!step(end)) return holds();
  }
  return true;
}

kj::Maybe<kj::String> Fleet::whyNotMet() {
  for (auto a : kj::zeroTo(options.honest)) {
    for (auto b : kj::zeroTo(options.honest)) {
      if (a != b && !nodes[a]->isReady(b)) return kj::str("machine ", a, " has no session with machine ", b);
    }
  }
  for (auto a : kj::zeroTo(options.honest)) {
    for (auto b : kj::range(a + 1, options.honest)) {
      auto connections = network.connectionsBetween(FleetApp::machineName(a), FleetApp::machineName(b));
      if (connections.size() != 1) {
        return kj::str(connections.size(), " connections between machines ", a, " and ", b);
      }
      if (wire.wasTampered(connections[0])) {
        return kj::str("the connection of machines ", a, " and ", b, ", which was tampered with, lives");
      }
    }
  }
  return nullptr;
}

}  // namespace nexus
