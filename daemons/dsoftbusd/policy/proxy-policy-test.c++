#include "daemons/dsoftbusd/policy/proxy-policy.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

PolicyRule rule(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation) {
  return {kj::str(peer), kj::str(service), kj::arr(kj::str(operation))};
}

TEST_CASE("an empty table allows nothing") {
  ProxyPolicy policy;
  CHECK_FALSE(policy.allows("node-a", "samgrd", "resolve-status"));
  CHECK(policy.size() == 0);
}

TEST_CASE("a rule allows its own triple and none that differs in one part") {
  auto rules = kj::arr(rule("node-a", "samgrd", "resolve-status"));
  ProxyPolicy policy(rules);
  CHECK(policy.allows("node-a", "samgrd", "resolve-status"));
  CHECK_FALSE(policy.allows("node-b", "samgrd", "resolve-status"));
  CHECK_FALSE(policy.allows("node-a", "bundlemgrd", "resolve-status"));
  CHECK_FALSE(policy.allows("node-a", "samgrd", "register"));
  CHECK_FALSE(policy.allows("node-A", "samgrd", "resolve-status"));
  CHECK_FALSE(policy.allows("", "samgrd", "resolve-status"));
  CHECK(policy.names("node-a", "samgrd"));
  CHECK_FALSE(policy.names("node-a", "bundlemgrd"));
  CHECK_FALSE(policy.names("node-b", "samgrd"));
}

TEST_CASE("there are no wildcards") {
  auto rules = kj::arr(rule("*", "*", "*"));
  ProxyPolicy policy(rules);
  CHECK_FALSE(policy.allows("node-a", "samgrd", "resolve-status"));
}

TEST_CASE("the borders between the parts cannot be moved by a NUL inside a name") {
  auto rules = kj::arr(rule("a", "b", "c"));
  ProxyPolicy policy(rules);
  CHECK_FALSE(policy.allows(kj::StringPtr("a\0b", 3), "c", ""));
  CHECK_FALSE(policy.allows(kj::StringPtr("a\0b", 3), "b", "c"));
}

TEST_CASE("the same rule twice counts once") {
  auto rules = kj::arr(rule("a", "b", "c"), rule("a", "b", "c"), rule("a", "b", "d"));
  CHECK(ProxyPolicy(rules).size() == 2);
}

}  // namespace
}  // namespace nexus
