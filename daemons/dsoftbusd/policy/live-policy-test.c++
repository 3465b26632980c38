#include "daemons/dsoftbusd/policy/live-policy.h"

#include <doctest/doctest.h>

namespace nexus {
namespace {

PolicyRule rule(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation) {
  return PolicyRule{kj::str(peer), kj::str(service), kj::arr(kj::str(operation))};
}

TEST_CASE("a table that is put into force decides from then on, and the generation says that it is another one") {
  LivePolicy policy(kj::arr(rule("a", "samgrd", "resolve-status")));
  CHECK(policy.generation() == 1);
  CHECK(policy.decide("a", "samgrd", "resolve-status").allowed);
  policy.enforce(kj::arr(rule("a", "bundlemgrd", "list")));
  CHECK(policy.generation() == 2);
  CHECK_FALSE(policy.decide("a", "samgrd", "resolve-status").allowed);
  CHECK(policy.decide("a", "bundlemgrd", "list").allowed);
  CHECK(policy.names("a", "bundlemgrd"));
  CHECK_FALSE(policy.names("a", "samgrd"));
  CHECK(policy.rules()[0].service == "bundlemgrd");
}

TEST_CASE("a dry run decides nothing: each difference is told and counted, and what both say is not") {
  LivePolicy policy(kj::arr(rule("a", "samgrd", "resolve-status"), rule("a", "stream:x", "open")),
                    kj::arr(rule("a", "bundlemgrd", "list"), rule("a", "stream:x", "open")));
  auto denied = policy.decide("a", "bundlemgrd", "list");
  CHECK_FALSE(denied.allowed);
  CHECK(denied.dryRun == DryRunVerdict::WOULD_ALLOW);
  auto allowed = policy.decide("a", "samgrd", "resolve-status");
  CHECK(allowed.allowed);
  CHECK(allowed.dryRun == DryRunVerdict::WOULD_DENY);
  CHECK(policy.decide("a", "stream:x", "open").dryRun == DryRunVerdict::SAME);
  CHECK(policy.decide("b", "samgrd", "resolve-status").dryRun == DryRunVerdict::SAME);
  CHECK(policy.counters().wouldAllow == 1);
  CHECK(policy.counters().wouldDeny == 1);
  CHECK(policy.generation() == 1);
}

TEST_CASE("whether any rule names a service is compared with a dry run too") {
  LivePolicy policy(kj::arr(rule("a", "rpc:x", "get"), rule("a", "rpc:y", "get")),
                    kj::arr(rule("a", "rpc:y", "put"), rule("a", "rpc:z", "get")));
  auto allowed = policy.decideNamed("a", "rpc:x");
  CHECK(allowed.allowed);
  CHECK(allowed.dryRun == DryRunVerdict::WOULD_DENY);
  CHECK(policy.decideNamed("a", "rpc:y").allowed);
  CHECK(policy.decideNamed("a", "rpc:y").dryRun == DryRunVerdict::SAME);
  auto denied = policy.decideNamed("a", "rpc:z");
  CHECK_FALSE(denied.allowed);
  CHECK(denied.dryRun == DryRunVerdict::WOULD_ALLOW);
  CHECK(policy.decideNamed("b", "rpc:z").dryRun == DryRunVerdict::SAME);
  CHECK(policy.counters().wouldAllow == 1);
  CHECK(policy.counters().wouldDeny == 1);
}

TEST_CASE("an empty candidate is a dry run of denying everything; none is no dry run, and the counters go on") {
  LivePolicy policy(kj::arr(rule("a", "samgrd", "resolve-status")), kj::Array<PolicyRule>());
  CHECK(policy.decide("a", "samgrd", "resolve-status").dryRun == DryRunVerdict::WOULD_DENY);
  CHECK(policy.candidate() != nullptr);
  policy.setCandidate(nullptr);
  CHECK(policy.candidate() == nullptr);
  CHECK(policy.decide("a", "samgrd", "resolve-status").dryRun == DryRunVerdict::SAME);
  CHECK(policy.counters().wouldDeny == 1);
}

TEST_CASE("tables are the same when every rule is, in order") {
  auto a = kj::arr(rule("a", "samgrd", "resolve-status"), rule("b", "bundlemgrd", "list"));
  CHECK(sameRules(a, cloneRules(a)));
  CHECK_FALSE(sameRules(a, a.slice(0, 1)));
  for (auto change : {0, 1, 2}) {
    auto other = cloneRules(a);
    auto& text = change == 0 ? other[1].peer : change == 1 ? other[1].service : other[1].operations[0];
    text = kj::str("x");
    CHECK_FALSE(sameRules(a, other));
  }
}

}  // namespace
}  // namespace nexus
