#pragma once
// What a policy allows, as a set, and the difference of two: in effect, whatever the order and the splitting of the
// rules. A peer is its name and its device: when a name means another device, what it may do is another thing. Pure.
#include <kj/array.h>
#include <kj/string.h>

#include <map>
#include <string>

namespace nexus {

struct Allowance {
  kj::String peer, deviceId, service, operation;
};

class Allowances {
 public:
  // The same again changes nothing.
  void add(kj::StringPtr peer, kj::StringPtr deviceId, kj::StringPtr service, kj::StringPtr operation);
  size_t size() const { return all.size(); }

  // Those that `other` does not have, in order of peer, service, operation, device.
  kj::Array<Allowance> without(const Allowances& other) const;

 private:
  std::map<std::string, Allowance> all;
};

struct PolicyDiff {
  kj::Array<Allowance> newlyAllowed, newlyDenied;
};
PolicyDiff diffPolicies(const Allowances& before, const Allowances& after);

}  // namespace nexus
