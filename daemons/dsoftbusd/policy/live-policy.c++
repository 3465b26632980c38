#include "daemons/dsoftbusd/policy/live-policy.h"

namespace nexus {

kj::Array<PolicyRule> cloneRules(kj::ArrayPtr<const PolicyRule> rules) {
  return KJ_MAP(rule, rules) {
    auto operations = KJ_MAP(operation, rule.operations) {
      return kj::str(operation);
    };
    return PolicyRule{kj::str(rule.peer), kj::str(rule.service), kj::mv(operations)};
  };
}

bool sameRules(kj::ArrayPtr<const PolicyRule> a, kj::ArrayPtr<const PolicyRule> b) {
  if (a.size() != b.size()) return false;
  for (auto i : kj::indices(a)) {
    if (a[i].peer != b[i].peer || a[i].service != b[i].service) return false;
    if (a[i].operations != b[i].operations) return false;
  }
  return true;
}

LivePolicy::LivePolicy(kj::Array<PolicyRule> rules, kj::Maybe<kj::Array<PolicyRule>> candidate)
    : enforced(kj::mv(rules)), table(enforced) {
  setCandidate(kj::mv(candidate));
}

template <typename Ask>
LivePolicy::Decision LivePolicy::compare(Ask&& ask) {
  Decision decision{ask(table), DryRunVerdict::SAME};
  KJ_IF_MAYBE (c, beside) {
    bool would = ask(c->table);
    if (would && !decision.allowed) {
      counts.wouldAllow++;
      decision.dryRun = DryRunVerdict::WOULD_ALLOW;
    } else if (!would && decision.allowed) {
      counts.wouldDeny++;
      decision.dryRun = DryRunVerdict::WOULD_DENY;
    }
  }
  return decision;
}

LivePolicy::Decision LivePolicy::decide(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation) {
  return compare([&](const ProxyPolicy& policy) { return policy.allows(peer, service, operation); });
}

LivePolicy::Decision LivePolicy::decideNamed(kj::StringPtr peer, kj::StringPtr service) {
  return compare([&](const ProxyPolicy& policy) { return policy.names(peer, service); });
}

bool LivePolicy::allows(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation) const {
  return table.allows(peer, service, operation);
}

kj::Maybe<kj::ArrayPtr<const PolicyRule>> LivePolicy::candidate() const {
  KJ_IF_MAYBE (c, beside) return c->rules.asPtr();
  return nullptr;
}

void LivePolicy::enforce(kj::Array<PolicyRule> rules) {
  ProxyPolicy next(rules);
  enforced = kj::mv(rules);
  table = kj::mv(next);
  currentGeneration++;
}

void LivePolicy::setCandidate(kj::Maybe<kj::Array<PolicyRule>> rules) {
  KJ_IF_MAYBE (r, rules) {
    ProxyPolicy next(*r);
    beside = Candidate{kj::mv(*r), kj::mv(next)};
  } else {
    beside = nullptr;
  }
}

}  // namespace nexus
