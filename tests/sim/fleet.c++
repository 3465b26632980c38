#include "tests/sim/fleet.h"

#include <kj/debug.h>
#include <sodium.h>

#include <set>

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
  return tomlOf(machine, "", [&](kj::uint caller, FleetRight right) { return rights.allows(caller, machine, right); });
}

kj::String Fleet::tomlOf(kj::uint machine, kj::StringPtr furtherLine, Allows allows) const {
  kj::Vector<kj::String> toml;
  auto name = FleetApp::machineName(machine);
  toml.add(
      kj::str("[dsoftbusd]\nnodeName = \"", name, "\"\nallowTestIdentity = true\ntestIdentity = \"", name, "\"\n"));
  if (options.callRate > 0) {
    toml.add(kj::str("ratePerSecond = ", options.callRate, "\nrateBurst = ", options.callRate, "\n"));
  }
  toml.add(kj::str(furtherLine));
  for (auto peer : kj::range<kj::uint>(0, lastNamed() + 1)) {
    if (peer == machine) continue;
    auto peerName = FleetApp::machineName(peer);
    toml.add(kj::str("[[dsoftbusd.trust]]\nname = \"", peerName, "\"\ntestIdentity = \"", peerName, "\"\n",
                     peer == options.honest ? "dial = false\n" : ""));
    for (auto i : kj::zeroTo(FLEET_RIGHTS)) {
      auto right = FleetRight(i);
      if (!allows(peer, right)) continue;
      toml.add(kj::str("[[dsoftbusd.policy]]\npeer = \"", peerName, "\"\nservice = \"", fleetService(right),
                       "\"\noperations = [\"", fleetOperation(right), "\"]\n"));
    }
  }
  return kj::strArray(toml, "");
}

// ---- changes of the policy

void Fleet::changePolicy(kj::uint machine, kj::uint rightsToChange) {
  auto& node = *nodes[machine];
  if (node.clock.isSuspended()) return;  // it could not take notice
  std::set<std::pair<kj::uint, FleetRight>> chosen;
  KJ_IF_MAYBE (stream, streams.anyUnderWay(machine, random.next())) {
    chosen.insert({stream->opener, fleetStreamRight(stream->name)});
  }
  for (auto i = 0u; i < rightsToChange; i++) {
    auto caller = kj::uint(random.next() % (lastNamed() + 1));
    chosen.insert({caller, FleetRight(random.next() % FLEET_RIGHTS)});
  }
  for (auto& [caller, right] : chosen) {
    if (caller == machine) continue;
    bool gives = !rights.allows(caller, machine, right);
    trace.note("machine", machine, gives ? "gives" : "takes from", caller, fleetService(right));
    rights.set(caller, machine, right, gives);
    if (!gives && right >= FleetRight::STREAM_0) {
      bool lives = caller < options.honest && node.isReady(caller);
      streams.withdrawn(caller, machine, kj::uint(right) - kj::uint(FleetRight::STREAM_0), lives);
    }
  }
  node.configure(tomlOf(machine));
}

kj::String Fleet::otherToml(kj::uint machine, kj::StringPtr furtherLine) {
  // Of a candidate, rules are refused about a peer that is not trusted at the moment.
  return tomlOf(machine, furtherLine, [&](kj::uint caller, FleetRight) {
    return random.next() % 2 == 0 && !rights.hasRevoked(machine, caller);
  });
}

void Fleet::misconfigure(kj::uint machine) {
  if (nodes[machine]->clock.isSuspended()) return;
  static constexpr kj::StringPtr WRONG[] = {
      "sessionPort = 4000\n"_kj,                                                              // needs a restart
      "sesionPort = 34568\n"_kj,                                                              // is no key
      "[[dsoftbusd.policy]]\npeer = \"nobody\"\nservice = \"samgrd\"\noperations = []\n"_kj,  // is no peer
  };
  nodes[machine]->refuseFile(otherToml(machine, WRONG[random.next() % kj::size(WRONG)]));
}

void Fleet::tryCandidate(kj::uint machine) {
  if (nodes[machine]->clock.isSuspended()) return;
  if (random.next() % 4 == 0) return nodes[machine]->tryCandidate(nullptr);
  nodes[machine]->tryCandidate(otherToml(machine, "").asPtr());
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
