#pragma once
// The policy of a running node: the table that decides, which can be replaced, and in a dry run a candidate beside it,
// which never decides. Where the candidate would have decided otherwise is told and counted. Owned by dsoftbusd, asked
// by the remote proxy. Pure: knows nothing of files, sessions or audit records.
#include <kj/vector.h>

#include "daemons/dsoftbusd/policy/proxy-policy.h"
#include "idl/dsoftbus.capnp.h"

namespace nexus {

using DryRunVerdict = idl::DryRunVerdict;

kj::Array<PolicyRule> cloneRules(kj::ArrayPtr<const PolicyRule> rules);
bool sameRules(kj::ArrayPtr<const PolicyRule> a, kj::ArrayPtr<const PolicyRule> b);

class LivePolicy {
 public:
  // candidate: null when there is no dry run.
  explicit LivePolicy(kj::Array<PolicyRule> rules, kj::Maybe<kj::Array<PolicyRule>> candidate = nullptr);
  KJ_DISALLOW_COPY_AND_MOVE(LivePolicy);

  struct Decision {
    bool allowed;          // by the enforced table, whatever the candidate says
    DryRunVerdict dryRun;  // SAME when there is no dry run
  };

  // Decides one call or opening of a stream; counts a difference of the candidate.
  Decision decide(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation);

  // The same of whether any rule names that service to that peer.
  Decision decideNamed(kj::StringPtr peer, kj::StringPtr service);

  // Asks only.
  bool allows(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation) const;
  bool names(kj::StringPtr peer, kj::StringPtr service) const { return table.names(peer, service); }

  kj::ArrayPtr<const PolicyRule> rules() const { return enforced; }
  kj::Maybe<kj::ArrayPtr<const PolicyRule>> candidate() const;

  // From 1. Grows with each table that is put into force, not with candidates.
  uint32_t generation() const { return currentGeneration; }

  void enforce(kj::Array<PolicyRule> rules);

  // Null ends the dry run. The counters of differences go on.
  void setCandidate(kj::Maybe<kj::Array<PolicyRule>> rules);

  struct Counters {
    uint64_t wouldAllow = 0, wouldDeny = 0;
  };
  const Counters& counters() const { return counts; }

 private:
  struct Candidate {
    kj::Array<PolicyRule> rules;
    ProxyPolicy table;
  };

  kj::Array<PolicyRule> enforced;
  ProxyPolicy table;
  kj::Maybe<Candidate> beside;
  uint32_t currentGeneration = 1;
  Counters counts;

  template <typename Ask>
  Decision compare(Ask&& ask);
};

}  // namespace nexus
