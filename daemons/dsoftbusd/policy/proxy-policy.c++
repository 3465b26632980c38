#include "daemons/dsoftbusd/policy/proxy-policy.h"

namespace nexus {

namespace {

// One key for the three; NUL cannot be part of a name, so that no two triples share a key.
kj::String tripleKey(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation) {
  return kj::str(peer, '\0', service, '\0', operation);
}

kj::String pairKey(kj::StringPtr peer, kj::StringPtr service) {
  return kj::str(peer, '\0', service);
}

bool hasNul(kj::StringPtr text) {
  return text.findFirst('\0') != nullptr;
}

}  // namespace

ProxyPolicy::ProxyPolicy(kj::ArrayPtr<const PolicyRule> rules) {
  for (auto& rule : rules) {
    for (auto& operation : rule.operations) {
      if (hasNul(rule.peer) || hasNul(rule.service) || hasNul(operation)) continue;  // can never match
      allowed.upsert(tripleKey(rule.peer, rule.service, operation), [](kj::String&, kj::String&&) {});
      services.upsert(pairKey(rule.peer, rule.service), [](kj::String&, kj::String&&) {});
    }
  }
}

bool ProxyPolicy::allows(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation) const {
  if (peer.size() == 0 || service.size() == 0 || operation.size() == 0) return false;
  if (hasNul(peer) || hasNul(service) || hasNul(operation)) return false;
  return allowed.contains(tripleKey(peer, service, operation));
}

bool ProxyPolicy::names(kj::StringPtr peer, kj::StringPtr service) const {
  return !hasNul(peer) && !hasNul(service) && services.contains(pairKey(peer, service));
}

}  // namespace nexus
