#include "daemons/dsoftbusd/policy/policy-diff.h"

#include <kj/vector.h>

namespace nexus {

void Allowances::add(kj::StringPtr peer, kj::StringPtr deviceId, kj::StringPtr service, kj::StringPtr operation) {
  // NUL cannot be part of a name, so that no two share a key.
  auto key = kj::str(peer, '\0', service, '\0', operation, '\0', deviceId);
  all.emplace(std::string(key.begin(), key.size()),
              Allowance{kj::str(peer), kj::str(deviceId), kj::str(service), kj::str(operation)});
}

kj::Array<Allowance> Allowances::without(const Allowances& other) const {
  kj::Vector<Allowance> list;
  for (auto& [key, a] : all) {
    if (other.all.count(key) > 0) continue;
    list.add(Allowance{kj::str(a.peer), kj::str(a.deviceId), kj::str(a.service), kj::str(a.operation)});
  }
  return list.releaseAsArray();
}

PolicyDiff diffPolicies(const Allowances& before, const Allowances& after) {
  return {after.without(before), before.without(after)};
}

}  // namespace nexus
