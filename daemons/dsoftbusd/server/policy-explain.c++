#include "daemons/dsoftbusd/server/policy-explain.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/mux/mux-frame.h"
#include "daemons/dsoftbusd/remote/remote-services.h"

namespace nexus {

namespace {

using Reason = idl::PolicyReason;
using Mismatch = idl::PolicyMismatch;

constexpr size_t MAX_SHOWN = 71;  // the longest name that a rule may have: "stream:" and 64 bytes

// Questions may quote what another node sent.
kj::String quoted(kj::StringPtr text) {
  return kj::str('"', printableText(text, MAX_SHOWN), '"');
}

bool namesOperation(const PolicyRule& rule, kj::StringPtr operation) {
  for (auto& name : rule.operations) {
    if (name == operation) return true;
  }
  return false;
}

// Not of a method, but of a stream for the calls of a service: of the records of the audit log.
bool isOpening(const PolicyQuestion& q) {
  return q.service.startsWith(RPC_SERVICE_PREFIX) && q.operation == RPC_OPENING;
}

kj::Maybe<Mismatch> mismatchOf(const PolicyRule& rule, const PolicyQuestion& question) {
  if (rule.peer != question.peer) return Mismatch::PEER;
  if (rule.service != question.service) return Mismatch::SERVICE;
  if (isOpening(question)) return nullptr;  // any method will do
  if (!namesOperation(rule, question.operation)) return Mismatch::OPERATION;
  return nullptr;
}

bool isTrusted(kj::ArrayPtr<const TrustedPeer> peers, kj::StringPtr name) {
  for (auto& peer : peers) {
    if (peer.name == name) return true;
  }
  return false;
}

PolicyAnswer answer(Reason reason, kj::String sentence) {
  PolicyAnswer answer;
  answer.reason = reason;
  answer.sentence = kj::mv(sentence);
  return answer;
}

kj::Maybe<PolicyAnswer> beyondTheTableForCalls(const PolicyTable& table, const PolicyQuestion& q) {
  RpcCatalog nothing;
  auto& offers = table.offers == nullptr ? nothing : *table.offers;
  KJ_IF_MAYBE (service, offers.findPolicyName(q.service)) {
    if (isOpening(q)) return nullptr;
    KJ_IF_MAYBE (method, service->find(q.operation)) {
      KJ_IF_MAYBE (why, method->withheld) {
        return answer(Reason::NOT_OFFERED, kj::str(q.service, " does not offer ", quoted(q.operation),
                                                   " to other nodes: ", *why, "; it offers: ", service->offered()));
      }
      return nullptr;
    }
    return answer(Reason::NOT_OFFERED,
                  kj::str(q.service, " has no method ", quoted(q.operation), "; it offers: ", service->offered()));
  }
  if (offers.services().size() == 0) {
    return answer(Reason::UNKNOWN_SERVICE, kj::str("no [[dsoftbusd.offers]] entry offers ", quoted(q.service),
                                                   ", or any other service for calls"));
  }
  return answer(Reason::UNKNOWN_SERVICE,
                kj::str("no [[dsoftbusd.offers]] entry offers ", quoted(q.service), "; there are: ", offers.names()));
}

// What no rule can change; null when the table decides.
kj::Maybe<PolicyAnswer> beyondTheTable(const PolicyTable& table, const PolicyQuestion& q) {
  if (!isTrusted(table.peers, q.peer)) {
    return answer(Reason::UNKNOWN_PEER, kj::str("no trust entry has the name ", quoted(q.peer),
                                                "; add one first (on that node: nexusctl bus trust FILE)"));
  }
  if (q.service.startsWith(STREAM_SERVICE_PREFIX)) {
    if (!isMuxStreamName(q.service.slice(STREAM_SERVICE_PREFIX.size()).asArray())) {
      return answer(Reason::UNKNOWN_SERVICE, kj::str("the name of a stream has 1 to 64 visible ASCII characters"));
    }
    if (q.operation == STREAM_OPERATION) return nullptr;
    return answer(Reason::NOT_OFFERED, kj::str("the only operation of a stream is ", STREAM_OPERATION));
  }
  if (q.service.startsWith(RPC_SERVICE_PREFIX)) return beyondTheTableForCalls(table, q);
  KJ_IF_MAYBE (service, findRemoteService(q.service.asArray())) {
    if (service->offers(q.operation)) return nullptr;
    return answer(Reason::NOT_OFFERED,
                  kj::str(service->name, " does not offer ", quoted(q.operation),
                          " to other nodes, whatever a rule says; it offers: ", kj::strArray(service->offered, ", ")));
  }
  auto all = KJ_MAP(s, remoteServices()) {
    return s.name;
  };
  return answer(Reason::UNKNOWN_SERVICE,
                kj::str("there is no service ", quoted(q.service),
                        " for other nodes; there are: ", kj::strArray(all, ", "), ", rpc:NAME and stream:NAME"));
}

// A name as a TOML basic string.
kj::String tomlString(kj::StringPtr name) {
  kj::Vector<char> out;
  out.add('"');
  for (char c : name) {
    if (c == '"' || c == '\\') out.add('\\');
    out.add(c);
  }
  out.add('"');
  return kj::heapString(out.begin(), out.size());
}

kj::String ruleToml(const PolicyQuestion& q) {
  // A line that had to be altered to be shown would not be the rule.
  if (printableText(q.peer, MAX_SHOWN) != q.peer || printableText(q.service, MAX_SHOWN) != q.service) return kj::str();
  return kj::str("[[dsoftbusd.policy]]\npeer = ", tomlString(q.peer), "\nservice = ", tomlString(q.service),
                 "\noperations = [", tomlString(q.operation), "]\n");
}

kj::StringPtr verdictSentence(CallStatus verdict) {
  switch (verdict) {
    case CallStatus::OK:
    case CallStatus::DENIED:
      return "the policy decided"_kj;
    case CallStatus::MALFORMED:
      return "the frame is not a request of that service; the policy was not asked"_kj;
    case CallStatus::OVERSIZED:
      return "the frame is longer than 256 bytes; the policy was not asked"_kj;
    case CallStatus::RATE_LIMITED:
      return "the peer called more often than ratePerSecond and rateBurst allow; the policy was not asked"_kj;
    case CallStatus::BACKEND_FAILED:
      return "a rule allowed it, but the service failed or is not running"_kj;
    case CallStatus::TIMED_OUT:
      return "a rule allowed it, but the service did not answer in time"_kj;
    case CallStatus::UNAUTHENTICATED:
      return "the caller's key is not in the trust table; the policy was not asked"_kj;
    case CallStatus::REPLY_OVERSIZED:
      return "a rule allowed it, but the reply is longer than 512 bytes"_kj;
    case CallStatus::CANCELLED:
      return "a rule allowed it, but the caller's session ended before the answer; it may have been done"_kj;
    case CallStatus::REFUSED:
      return "a rule allows the operation, but not with these arguments: they go beyond what any other node may ask of"
             " the service; its reply said which"_kj;
  }
  return "a verdict that is not known here"_kj;
}

// The same for calls of the services "rpc:NAME", where it differs.
kj::StringPtr callSentence(CallStatus verdict) {
  switch (verdict) {
    case CallStatus::MALFORMED:
      return "there is no such method, or the parameters hold a capability or are broken; the policy was not asked"_kj;
    case CallStatus::OVERSIZED:
      return "the parameters are larger than 256 KiB; the policy was not asked"_kj;
    case CallStatus::RATE_LIMITED:
      return "the peer called more often than ratePerSecond and rateBurst allow, or has too many calls or streams open;"
             " the policy was not asked"_kj;
    case CallStatus::BACKEND_FAILED:
      return "a rule allowed it, but the service failed, is not running, or answered with a capability"_kj;
    case CallStatus::REPLY_OVERSIZED:
      return "a rule allowed it, but the answer is larger than 256 KiB"_kj;
    default:
      return verdictSentence(verdict);
  }
}

// A call that was let pass, and came to nothing all the same.
bool failedLater(CallStatus verdict) {
  return verdict == CallStatus::BACKEND_FAILED || verdict == CallStatus::TIMED_OUT ||
         verdict == CallStatus::REPLY_OVERSIZED || verdict == CallStatus::CANCELLED;
}

// Something else than the policy decided, or what came after it.
PolicyAnswer explainVerdict(const AuditEntry& entry) {
  bool call = entry.service.startsWith(RPC_SERVICE_PREFIX);
  auto sentence = kj::str(call ? callSentence(entry.verdict) : verdictSentence(entry.verdict));
  if (entry.repeats > 0) {
    sentence = kj::str(sentence, "; ", entry.repeats, " more of its calls within a second were refused likewise");
  }
  return answer(failedLater(entry.verdict) ? Reason::FAILED_LATER : Reason::OTHER_CHECK, kj::mv(sentence));
}

kj::StringPtr pairingSentence(CallStatus verdict) {
  switch (verdict) {
    case CallStatus::OK:
      return "the peer was paired: two people found the digits the same; what it may do is the policy's to say"_kj;
    case CallStatus::TIMED_OUT:
      return "a window for pairing closed before both people had said yes; nobody is trusted for it here"_kj;
    default:
      return "a pairing was refused or broke off; nobody is trusted for it here"_kj;
  }
}

// Records about a peer and not about a call: they name no service.
kj::Maybe<kj::StringPtr> trustSentence(const AuditEntry& entry) {
  if (entry.service.size() > 0) return nullptr;
  if (entry.operation == "revoke") {
    return "this node trusts the peer, or the key that its session was opened by, no more, and ended what was open to"
           " it; whom it trusts now: nexusctl bus trusted"_kj;
  }
  if (entry.operation == "pair") return pairingSentence(entry.verdict);
  if (entry.operation == "rekey") {
    return "the paired peer was given another key here; the one that it had is accepted until the time that was said:"
           " nexusctl bus trusted"_kj;
  }
  if (entry.operation == "handshake") {
    return "a connection was refused: the key at its other end is not the one that the trust table has, or its proof of"
           " identity is wrong; whom this node trusts: nexusctl bus trusted"_kj;
  }
  if (entry.operation == "announce") {
    return "an announcement names another static key for the device than the trust table has, and was not believed;"
           " if the peer has a new key, its entry here needs it"_kj;
  }
  return nullptr;
}

void fillRule(const PolicyTable& table, size_t index, idl::PolicyExplanation::Rule::Builder out) {
  auto& rule = table.rules[index];
  out.setIndex(index);
  out.setPeer(rule.peer);
  out.setService(rule.service);
  auto operations = out.initOperations(rule.operations.size());
  for (auto i : kj::indices(rule.operations)) operations.set(i, rule.operations[i]);
}

}  // namespace

void PolicyAnswer::toIdl(const PolicyTable& table, idl::PolicyExplanation::Builder out) const {
  out.setAllowed(allowed());
  out.setReason(reason);
  if (reason == Reason::RULE) fillRule(table, rule, out.initRule());
  auto list = out.initConsidered(considered.size());
  for (auto i : kj::indices(considered)) {
    fillRule(table, considered[i].rule, list[i].initRule());
    list[i].setMismatch(considered[i].mismatch);
  }
  out.setSentence(sentence);
  out.setToAllow(toAllow);
}

namespace {

// Which methods a rule should name, only its author knows.
PolicyAnswer deniedOpening(const PolicyTable& table, const PolicyQuestion& q,
                           kj::Array<PolicyAnswer::Considered> considered) {
  auto& service = KJ_ASSERT_NONNULL(table.offers->findPolicyName(q.service));
  auto denied = answer(Reason::NO_RULE, kj::str("no rule names ", quoted(q.service), " for ", quoted(q.peer),
                                                "; add one with the methods that it needs, of: ", service.offered()));
  denied.considered = kj::mv(considered);
  return denied;
}

}  // namespace

namespace {

// What is allowed and cannot be done all the same.
kj::String absence(const PolicyTable& table, kj::StringPtr name) {
  if (table.proxy == nullptr || table.proxy->serves(name)) return kj::str();
  KJ_IF_MAYBE (service, findRemoteService(name)) {
    return kj::str("; but this node has no ", name, ", so that it is answered backend failed (to have it: --import ",
                   service->optionalImport, "=unix:...)");
  }
  return kj::str();
}

}  // namespace

PolicyAnswer explainPolicy(const PolicyTable& table, const PolicyQuestion& q) {
  auto beyond = beyondTheTable(table, q);
  KJ_IF_MAYBE (reason, beyond) return kj::mv(*reason);
  kj::Vector<PolicyAnswer::Considered> considered;
  for (auto i : kj::indices(table.rules)) {
    KJ_IF_MAYBE (mismatch, mismatchOf(table.rules[i], q)) {
      considered.add(PolicyAnswer::Considered{i, *mismatch});
    } else {
      auto what = isOpening(q) ? "peer and service, and each call is decided by its method"_kj
                               : "peer, service and operation"_kj;
      auto allowed = answer(Reason::RULE, kj::str("rule ", i, " names ", what, absence(table, q.service)));
      allowed.rule = i;
      return allowed;
    }
  }
  if (isOpening(q)) return deniedOpening(table, q, considered.releaseAsArray());
  auto denied = answer(Reason::NO_RULE, kj::str("no rule allows ", quoted(q.operation), " of ", quoted(q.service),
                                                " to ", quoted(q.peer), "; what no rule allows is denied"));
  denied.considered = considered.releaseAsArray();
  denied.toAllow = ruleToml(q);
  return denied;
}

namespace {

// What the table says now may be another thing than what was decided then.
void tellOfOlderPolicy(PolicyAnswer& explained, const LivePolicy& live, const AuditEntry& entry) {
  if (entry.policy.generation == 0 || entry.policy.generation == live.generation()) return;
  explained.sentence = kj::str("policy ", entry.policy.generation, " decided this call (", statusName(entry.verdict),
                               "); asked again, policy ", live.generation(), " says: ", explained.sentence);
}

}  // namespace

PolicyAnswer explainDecision(const PolicyTable& table, const AuditEntry& entry) {
  if (entry.change.size() > 0) {
    bool refused = entry.verdict != CallStatus::OK;
    return answer(Reason::EVENT, kj::str(refused ? "a change of this node's own configuration was refused, and nothing"
                                                   " was changed: "
                                                 : "this node's own configuration was changed: ",
                                         entry.change));
  }
  KJ_IF_MAYBE (sentence, trustSentence(entry)) return answer(Reason::EVENT, kj::str(*sentence));
  if (entry.verdict != CallStatus::OK && entry.verdict != CallStatus::DENIED) return explainVerdict(entry);
  if (entry.service.size() >= AuditLog::MAX_TEXT) {
    return answer(Reason::OTHER_CHECK,
                  kj::str("the policy decided (", statusName(entry.verdict), "), but the record keeps only the first ",
                          AuditLog::MAX_TEXT, " bytes of the service's name: ask with the whole name"));
  }
  auto explained = explainPolicy(table, {entry.peer, entry.service, entry.operation});
  KJ_IF_MAYBE (live, table.live) tellOfOlderPolicy(explained, *live, entry);
  if (entry.policy.dryRun != DryRunVerdict::SAME) {
    bool would = entry.policy.dryRun == DryRunVerdict::WOULD_ALLOW;
    explained.sentence =
        kj::str(explained.sentence, "; the candidate of the dry run would have ", would ? "allowed" : "denied", " it");
  }
  return explained;
}

}  // namespace nexus
