#pragma once
// Why a call of another node is allowed or denied, for people: the rule that decides, or every rule that was considered
// and why it does not match, and what would have to be added. Pure. Says the same as the proxy decides (a test walks
// all questions); decides nothing itself. Knows nothing of sessions, rates or frames.
#include "daemons/dsoftbusd/policy/audit-log.h"
#include "daemons/dsoftbusd/policy/live-policy.h"
#include "daemons/dsoftbusd/remote/remote-proxy.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-catalog.h"
#include "daemons/dsoftbusd/trust/trust-table.h"
#include "idl/dsoftbus.capnp.h"

namespace nexus {

// What decides: not owned, outlives whoever was given it.
struct PolicyTable {
  kj::ArrayPtr<const TrustedPeer> peers;
  kj::ArrayPtr<const PolicyRule> rules;
  kj::Maybe<const LivePolicy&> live = nullptr;  // of a running node: the one whose rules these are
  const RpcCatalog* offers = nullptr;           // null: nothing is offered as "rpc:NAME"
  const RemoteProxy* proxy = nullptr;           // of a running node: knows which services are there
};

struct PolicyQuestion {
  kj::StringPtr peer;       // name in the trust table
  kj::StringPtr service;    // "samgrd", "stream:app/sync"
  kj::StringPtr operation;  // "resolve-status", "open"
};

struct PolicyAnswer {
  // The first part that differs, in the order in which a rule is written.
  struct Considered {
    size_t rule;
    idl::PolicyMismatch mismatch;
  };

  idl::PolicyReason reason = idl::PolicyReason::NO_RULE;
  size_t rule = 0;                   // of RULE only: the first that matches
  kj::Array<Considered> considered;  // of NO_RULE only: all rules
  kj::String sentence;
  kj::String toAllow;  // TOML; empty when no line can allow it

  // By the policy: what came of it is another matter.
  bool allowed() const { return reason == idl::PolicyReason::RULE || reason == idl::PolicyReason::FAILED_LATER; }
  void toIdl(const PolicyTable& table, idl::PolicyExplanation::Builder out) const;
};

PolicyAnswer explainPolicy(const PolicyTable& table, const PolicyQuestion& question);

// Why the call of that record was answered as it was. By the table as it is now.
PolicyAnswer explainDecision(const PolicyTable& table, const AuditEntry& entry);

}  // namespace nexus
