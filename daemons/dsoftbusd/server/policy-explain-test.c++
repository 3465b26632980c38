#include "daemons/dsoftbusd/server/policy-explain.h"

#include <capnp/message.h>
#include <doctest/doctest.h>
#include <string.h>

#include "daemons/dsoftbusd/remote/remote-services.h"
#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

bool contains(kj::StringPtr text, const char* part) {
  return strstr(text.cStr(), part) != nullptr;
}

struct Fixture {
  kj::Array<TrustedPeer> peers;
  kj::Vector<PolicyRule> rules;

  Fixture() {
    auto list = kj::heapArrayBuilder<TrustedPeer>(2);
    for (auto name : {"node-b", "node-c"}) {
      list.add(TrustedPeer{kj::str(name), DeviceIdentity::forTest(name).publicIdentity()});
    }
    peers = list.finish();
    add("node-b", "samgrd", "resolve-status");
    add("node-c", "bundlemgrd", "list");
    add("node-b", "stream:app/sync", "open");
    add("node-b", "samgrd", "register");  // checkSettings refuses it; the proxy denies it all the same
  }

  void add(const char* peer, const char* service, const char* operation) {
    rules.add(PolicyRule{kj::str(peer), kj::str(service), kj::arr(kj::str(operation))});
  }
  PolicyTable table() const { return {peers, rules}; }
  PolicyAnswer explain(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation) const {
    return explainPolicy(table(), {peer, service, operation});
  }
  PolicyAnswer explain(CallStatus verdict, kj::StringPtr service = "samgrd") const {
    AuditEntry entry;
    entry.peer = kj::str("node-b");
    entry.service = kj::str(service);
    entry.operation = kj::str("resolve-status");
    entry.verdict = verdict;
    return explainDecision(table(), entry);
  }
};

TEST_CASE("the explanation agrees with the policy on every question there is") {
  Fixture f;
  ProxyPolicy policy(f.rules);
  size_t allowed = 0, asked = 0;
  for (auto peer : {"node-b", "node-c", "node-x", ""}) {
    for (auto service : {"samgrd", "bundlemgrd", "stream:app/sync", "stream:", "vaultd", ""}) {
      for (auto operation : {"resolve-status", "register", "list", "route-status", "open", ""}) {
        auto known = findRemoteService(kj::StringPtr(service).asArray());
        bool offered = known.map([&](const RemoteService& s) { return s.offers(operation); })
                           .orDefault(kj::StringPtr(service).startsWith(STREAM_SERVICE_PREFIX));
        bool proxyAllows = offered && policy.allows(peer, service, operation);
        CAPTURE(peer);
        CAPTURE(service);
        CAPTURE(operation);
        CHECK(f.explain(peer, service, operation).allowed() == proxyAllows);
        allowed += proxyAllows;
        asked++;
      }
    }
  }
  CHECK(asked == 144);
  CHECK(allowed == 3);
}

TEST_CASE("an allowed call names its rule") {
  Fixture f;
  auto answer = f.explain("node-c", "bundlemgrd", "list");
  CHECK(answer.reason == idl::PolicyReason::RULE);
  CHECK(answer.rule == 1);
  CHECK(answer.toAllow == "");
  CHECK(answer.considered.size() == 0);
}

TEST_CASE("a denied call lists every rule with what differs, and adding the line that it gives allows the call") {
  Fixture f;
  auto answer = f.explain("node-b", "bundlemgrd", "list");
  CHECK(answer.reason == idl::PolicyReason::NO_RULE);
  REQUIRE(answer.considered.size() == 4);
  CHECK(answer.considered[0].mismatch == idl::PolicyMismatch::SERVICE);
  CHECK(answer.considered[1].mismatch == idl::PolicyMismatch::PEER);
  CHECK(answer.toAllow ==
        "[[dsoftbusd.policy]]\npeer = \"node-b\"\nservice = \"bundlemgrd\"\noperations = [\"list\"]\n");
  f.add("node-b", "bundlemgrd", "list");
  CHECK(f.explain("node-b", "bundlemgrd", "list").rule == 4);

  // Every visible character may stand in the name of a stream, those of TOML too.
  CHECK(contains(f.explain("node-b", "stream:a\"\\", "open").toAllow, "service = \"stream:a\\\"\\\\\""));

  Fixture other;
  other.rules[0].operations = kj::arr(kj::str("lookup"));
  CHECK(other.explain("node-b", "samgrd", "resolve-status").considered[0].mismatch == idl::PolicyMismatch::OPERATION);
}

TEST_CASE("on a running node an allowed service that is absent is told as that; without a node nothing is said of it") {
  class Present final : public ServiceBackend {
    kj::Promise<kj::Array<kj::byte>> call(const RemoteCaller&, kj::Array<kj::byte>) override { return kj::NEVER_DONE; }
  };
  Fixture f;
  f.add("node-c", "packagefsd", "stat");
  SimClock sim;
  AuditLog audit(sim.timer);
  LivePolicy policy(kj::Array<PolicyRule>(nullptr));
  RateLimiter rate(1, 1);
  RemoteProxyObserver observer;
  auto backends = kj::heapArrayBuilder<RemoteProxy::Backend>(1);
  backends.add(RemoteProxy::Backend{"bundlemgrd"_kj, kj::heap<Present>()});
  RemoteProxy proxy(sim.timer, policy, rate, audit, observer, backends.finish());

  auto table = f.table();
  CHECK(!contains(explainPolicy(table, {"node-c", "packagefsd", "stat"}).sentence, "has no"));
  table.proxy = &proxy;
  auto absent = explainPolicy(table, {"node-c", "packagefsd", "stat"});
  CHECK(absent.allowed());
  CHECK(contains(absent.sentence, "but this node has no packagefsd, so that it is answered backend failed"));
  CHECK(contains(absent.sentence, "--import packagefs=unix:"));
  CHECK(!contains(explainPolicy(table, {"node-c", "bundlemgrd", "list"}).sentence, "has no"));
  CHECK(!contains(explainPolicy(table, {"node-b", "stream:app/sync", "open"}).sentence, "has no"));
  CHECK(!contains(explainPolicy(table, {"node-b", "packagefsd", "stat"}).sentence, "has no"));  // not allowed either
}

TEST_CASE("what no rule can allow says so and gives no line") {
  Fixture f;
  auto stranger = f.explain("node-x", "samgrd", "resolve-status");
  CHECK(stranger.reason == idl::PolicyReason::UNKNOWN_PEER);
  CHECK(contains(stranger.sentence, "nexusctl bus trust"));
  auto service = f.explain("node-b", "vault\033d", "get");
  CHECK(service.reason == idl::PolicyReason::UNKNOWN_SERVICE);
  CHECK(contains(service.sentence, "\"vault?d\""));
  auto kept = f.explain("node-b", "samgrd", "register");
  CHECK(kept.reason == idl::PolicyReason::NOT_OFFERED);
  CHECK(contains(kept.sentence, "it offers: resolve-status"));
  CHECK(f.explain("node-b", "stream:app/sync", "close").reason == idl::PolicyReason::NOT_OFFERED);
  CHECK(f.explain("node-b", "stream:a b", "open").reason == idl::PolicyReason::UNKNOWN_SERVICE);
  for (auto* answer : {&stranger, &service, &kept}) CHECK(answer->toAllow == "");
}

TEST_CASE("a record's verdict that is not the policy's is told as what it is") {
  using Reason = idl::PolicyReason;
  Fixture f;
  CHECK(f.explain(CallStatus::OK).reason == Reason::RULE);
  CHECK(f.explain(CallStatus::DENIED, "bundlemgrd").reason == Reason::NOT_OFFERED);
  struct Expected {
    CallStatus verdict;
    Reason reason;
    const char *said, *saidOfCalls;
  };
  const Expected all[] = {
      {CallStatus::MALFORMED, Reason::OTHER_CHECK, "not a request", "no such method"},
      {CallStatus::OVERSIZED, Reason::OTHER_CHECK, "256 bytes", "256 KiB"},
      {CallStatus::RATE_LIMITED, Reason::OTHER_CHECK, "ratePerSecond", "too many calls or streams"},
      {CallStatus::BACKEND_FAILED, Reason::FAILED_LATER, "failed or is not running", "answered with a capability"},
      {CallStatus::TIMED_OUT, Reason::FAILED_LATER, "did not answer in time", "did not answer in time"},
      {CallStatus::UNAUTHENTICATED, Reason::OTHER_CHECK, "not in the trust table", "not in the trust table"},
      {CallStatus::REPLY_OVERSIZED, Reason::FAILED_LATER, "longer than 512 bytes", "larger than 256 KiB"},
      {CallStatus::CANCELLED, Reason::FAILED_LATER, "may have been done", "may have been done"},
      {CallStatus::REFUSED, Reason::OTHER_CHECK, "not with these arguments", "not with these arguments"},
  };
  CHECK(std::size(all) == CALL_VERDICTS - 2);  // all but ok and denied
  for (auto& expected : all) {
    CAPTURE(statusName(expected.verdict).cStr());
    auto frame = f.explain(expected.verdict);
    auto call = f.explain(expected.verdict, "rpc:notes");
    CHECK(contains(frame.sentence, expected.said));
    CHECK(contains(call.sentence, expected.saidOfCalls));
    for (auto* answer : {&frame, &call}) {
      CHECK(answer->reason == expected.reason);
      bool decidedBefore = contains(answer->sentence, "the policy was not asked");
      bool allowedBefore = contains(answer->sentence, "a rule allow");
      CHECK(decidedBefore != allowedBefore);  // each says whether it came as far as the policy
      CHECK(answer->allowed() == (expected.reason == Reason::FAILED_LATER));
    }
  }
  // A name as long as the record keeps may have been longer.
  auto longest = f.explain(CallStatus::DENIED, kj::str("stream:", kj::repeat('a', AuditLog::MAX_TEXT - 7)));
  CHECK(contains(longest.sentence, "ask with the whole name"));
}

TEST_CASE("a record that stands for more calls says for how many") {
  Fixture f;
  AuditEntry entry;
  entry.peer = kj::str("node-b");
  entry.service = kj::str("samgrd");
  entry.verdict = CallStatus::RATE_LIMITED;
  CHECK_FALSE(contains(explainDecision(f.table(), entry).sentence, "more of its calls"));
  entry.repeats = 17;
  CHECK(contains(explainDecision(f.table(), entry).sentence, "17 more of its calls within a second"));
}

TEST_CASE("a record about a peer, and not about a call, says what happened and speaks of no decision") {
  Fixture f;
  auto explain = [&](kj::StringPtr operation, CallStatus verdict) {
    AuditEntry entry;
    entry.peer = kj::str("node-b");
    entry.operation = kj::str(operation);
    entry.verdict = verdict;
    auto answer = explainDecision(f.table(), entry);
    CHECK(answer.reason == idl::PolicyReason::EVENT);
    CHECK(answer.toAllow == "");
    CHECK_FALSE(answer.allowed());
    return kj::mv(answer.sentence);
  };
  CHECK(contains(explain("revoke", CallStatus::UNAUTHENTICATED), "ended what was open"));
  CHECK(contains(explain("pair", CallStatus::OK), "was paired"));
  CHECK(contains(explain("pair", CallStatus::TIMED_OUT), "closed before both people"));
  CHECK(contains(explain("pair", CallStatus::UNAUTHENTICATED), "broke off"));
  CHECK(contains(explain("rekey", CallStatus::OK), "was given another key"));
  CHECK(contains(explain("handshake", CallStatus::UNAUTHENTICATED), "connection was refused"));
  CHECK(contains(explain("announce", CallStatus::UNAUTHENTICATED), "another static key"));
}

TEST_CASE("a record of a change of the configuration says whether it came to be") {
  Fixture f;
  AuditEntry entry;
  entry.change = kj::str("reload changed: policy; policy 2");
  auto changed = explainDecision(f.table(), entry);
  CHECK(changed.reason == idl::PolicyReason::EVENT);
  CHECK(changed.sentence == "this node's own configuration was changed: reload changed: policy; policy 2");
  entry.change = kj::str("reload refused: needs a restart: sessionPort");
  entry.verdict = CallStatus::DENIED;
  auto refused = explainDecision(f.table(), entry);
  CHECK(refused.reason == idl::PolicyReason::EVENT);
  CHECK(contains(refused.sentence, "was refused, and nothing was changed: reload refused: needs a restart"));
}

TEST_CASE("a record of an older policy says what decided then and what is said now, each by its number") {
  Fixture f;
  LivePolicy live(cloneRules(f.rules));
  live.enforce(cloneRules(f.rules));
  auto table = f.table();
  table.live = live;
  AuditEntry entry;
  entry.peer = kj::str("node-b");
  entry.service = kj::str("samgrd");
  entry.operation = kj::str("resolve-status");
  entry.verdict = CallStatus::DENIED;
  entry.policy.generation = 1;
  auto answer = explainDecision(table, entry);
  CHECK(answer.allowed());
  CHECK(answer.sentence.startsWith("policy 1 decided this call (denied); asked again, policy 2 says: rule 0 names"));
  entry.policy.generation = 2;
  CHECK(explainDecision(table, entry).sentence.startsWith("rule 0 names"));
}

TEST_CASE("the schema's form carries the rules themselves") {
  Fixture f;
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<idl::PolicyExplanation>();
  f.explain("node-b", "bundlemgrd", "list").toIdl(f.table(), out);
  CHECK_FALSE(out.getAllowed());
  CHECK(out.getConsidered()[2].getRule().getIndex() == 2);
  CHECK(kj::str(out.getConsidered()[2].getRule().getService()) == "stream:app/sync");
  CHECK(kj::str(out.getConsidered()[2].getRule().getOperations()[0]) == "open");
}

}  // namespace
}  // namespace nexus
