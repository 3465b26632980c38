#include "daemons/dsoftbusd/policy/policy-state.h"

#include <kj/debug.h>

namespace nexus {

namespace {

void fillRules(kj::ArrayPtr<const PolicyRule> rules, capnp::List<idl::PolicyExplanation::Rule>::Builder out) {
  for (auto i : kj::indices(rules)) {
    out[i].setIndex(i);
    out[i].setPeer(rules[i].peer);
    out[i].setService(rules[i].service);
    auto operations = out[i].initOperations(rules[i].operations.size());
    for (auto j : kj::indices(rules[i].operations)) operations.set(j, rules[i].operations[j]);
  }
}

}  // namespace

void fillPolicyState(const PolicyTable& table, idl::PolicyState::Builder out) {
  auto& live = KJ_ASSERT_NONNULL(table.live);
  out.setGeneration(live.generation());
  fillRules(live.rules(), out.initRules(live.rules().size()));
  KJ_IF_MAYBE (candidate, live.candidate()) {
    out.setMode(idl::PolicyState::Mode::DRY_RUN);
    fillRules(*candidate, out.initCandidate(candidate->size()));
  }
  auto peers = out.initPeers(table.peers.size());
  for (auto i : kj::indices(table.peers)) {
    peers[i].setName(table.peers[i].name);
    peers[i].setDeviceId(table.peers[i].identity.deviceId);
    peers[i].setPaired(table.peers[i].paired);
  }
  out.setWouldAllow(live.counters().wouldAllow);
  out.setWouldDeny(live.counters().wouldDeny);
}

}  // namespace nexus
