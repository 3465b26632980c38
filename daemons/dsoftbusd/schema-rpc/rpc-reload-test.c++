// Policy of calls between two whole nodes while they run: what a reload does to streams that are open and calls that
// are under way, what it refuses, and what a dry run tells.
#include <doctest/doctest.h>
#include <string.h>

#include "daemons/dsoftbusd/policy/live-config.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-fixture.h"
#include "libs/nexus-net-os/daemon/config-loader.h"
#include "tests/sim/sim-bus-node.h"

namespace nexus {
namespace {

using Kind = kj::Exception::Type;
using Outcome = LiveConfig::Outcome;
using StreamOutcome = idl::PeerSession::StreamOutcome;

constexpr auto HEAD_A = R"(
[dsoftbusd]
nodeName = "node-a"
allowTestIdentity = true
testIdentity = "node-a"
[[dsoftbusd.trust]]
name = "node-b"
testIdentity = "node-b"
)"_kj;

constexpr auto HEAD_B = R"(
[dsoftbusd]
nodeName = "node-b"
allowTestIdentity = true
testIdentity = "node-b"
[[dsoftbusd.trust]]
name = "node-a"
testIdentity = "node-a"
[[dsoftbusd.offers]]
name = "samgr"
)"_kj;

constexpr auto OFFER =
    "[[dsoftbusd.offers]]\nname = \"gauge\"\nschema = \"daemons/dsoftbusd/schema-rpc/rpc-test.schema\"\n"
    "interface = \"Gauge\"\n"_kj;

kj::String rule(kj::StringPtr service, kj::StringPtr operations, kj::StringPtr table = "policy") {
  return kj::str("[[dsoftbusd.", table, "]]\npeer = \"node-a\"\nservice = \"", service, "\"\noperations = [",
                 operations, "]\n");
}
constexpr auto SAMGR_RULE =
    "[[dsoftbusd.policy]]\npeer = \"node-a\"\nservice = \"rpc:samgr\"\noperations = "
    "[\"resolveStatus\"]\n"_kj;

bool contains(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

// Node a calls the gauge of node b, whose file is HEAD_B, the offer and what a test adds.
struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::String file;
  GaugeImpl::State state;
  kj::Own<SimBusNode> a, b;
  capnp::MallocMessageBuilder message;
  kj::Own<LiveConfig> live;

  explicit Fixture(kj::StringPtr rules) : file(kj::str(HEAD_B, OFFER, rules)) {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<SimBusNode>(sim, network, "node-a", HEAD_A);
    b = kj::heap<SimBusNode>(sim, network, "node-b", file);
    b->serveImport("gauge", idl::Gauge::Client(kj::heap<GaugeImpl>(state)));
    auto schema = capnp::Schema::from<config::Dsoftbusd>();
    KJ_ASSERT(loadConfig("b.toml", file, "dsoftbusd", schema, message) == nullptr);
    live = kj::heap<LiveConfig>(
        b->daemon(), message.getRoot<config::Dsoftbusd>().asReader(), "b.toml",
        LiveConfig::ReadText([this]() -> kj::OneOf<kj::String, SettingsError> { return kj::str(file); }),
        [this](kj::Array<TrustedPeer> peers) { b->daemon().applyTrust(kj::mv(peers)); },
        [this] { return LoadTime{kj::UNIX_EPOCH, sim.timer.now()}; });
  }
  ~Fixture() {
    live = nullptr;
    b = nullptr;
    a = nullptr;
  }

  LiveConfig::Result reload(kj::StringPtr rules, kj::StringPtr offer = OFFER) {
    file = kj::str(HEAD_B, offer, rules);
    return live->reload();
  }

  struct Opened {
    StreamOutcome outcome;
    uint64_t auditId;
    kj::Maybe<capnp::Capability::Client> service;
  };
  Opened open(kj::StringPtr service) {
    auto session = a->session("node-b");
    auto request = session.rpcRequest();
    request.setService(service);
    auto response = sim.run(request.send().dropPipeline());
    kj::Maybe<capnp::Capability::Client> found;
    if (response.getOutcome() == StreamOutcome::OK) found = response.getService();
    return {response.getOutcome(), response.getAuditId(), kj::mv(found)};
  }
  idl::Gauge::Client gauge() { return KJ_ASSERT_NONNULL(open("gauge").service).castAs<idl::Gauge>(); }

  // "ok", or the kind and the words of the failure.
  template <typename Request>
  kj::String said(Request&& request) {
    return sim.run(request.send().dropPipeline().then(
        [](auto&&) { return kj::str("ok"); },
        [](kj::Exception&& e) { return kj::str(e.getType(), ' ', e.getDescription()); }));
  }

  AuditEntry record(uint64_t id) {
    AuditEntry found;
    b->daemon().audit().forEachAfter(id - 1, [&](const AuditEntry& e) {
      if (e.id != id) return;
      found.id = e.id;
      found.service = kj::str(e.service);
      found.operation = kj::str(e.operation);
      found.verdict = e.verdict;
      found.policy = e.policy;
    });
    return found;
  }
  AuditEntry lastRecord() { return record(b->daemon().audit().lastId()); }
};

TEST_CASE("a stream whose service no rule names any more is reset with its calls; that of another service lives on") {
  Fixture f(kj::str(rule("rpc:gauge", "\"echo\", \"hang\""), SAMGR_RULE));
  auto gauge = f.gauge();
  auto samgr = KJ_ASSERT_NONNULL(f.open("samgr").service).castAs<idl::Samgr>();
  CHECK(f.said(samgr.resolveStatusRequest()) == "ok");
  kj::Maybe<kj::Exception> ended;
  auto hanging = gauge.hangRequest()
                     .send()
                     .then([](auto&&) {}, [&](kj::Exception&& e) { ended = kj::mv(e); })
                     .eagerlyEvaluate(nullptr);
  f.sim.advance(1 * kj::SECONDS);
  CHECK(f.state.hanging == 1);

  auto result = f.reload(SAMGR_RULE);
  CHECK(result.outcome == Outcome::APPLIED);
  CHECK(result.streamsReset == 1);
  f.sim.advance(1 * kj::SECONDS);
  CHECK(KJ_ASSERT_NONNULL(ended).getType() == Kind::DISCONNECTED);
  CHECK(f.state.hanging == 0);
  CHECK(f.state.cancelled == 1);
  CHECK(f.said(gauge.echoRequest()).startsWith("disconnected "));
  CHECK(f.said(samgr.resolveStatusRequest()) == "ok");

  auto again = f.open("gauge");
  CHECK(again.outcome == StreamOutcome::DENIED);
  auto refusal = f.record(again.auditId);
  CHECK(refusal.service == "rpc:gauge");
  CHECK(refusal.operation == "(open)");
  CHECK(refusal.verdict == CallStatus::DENIED);
  CHECK(refusal.policy.generation == 2);
  // The reset left one too, and the call that was under way.
  kj::uint resets = 0, cancelled = 0;
  f.b->daemon().audit().forEachAfter(0, [&](const AuditEntry& e) {
    if (e.service != "rpc:gauge" || e.id >= again.auditId) return;
    if (e.operation == "(open)" && e.verdict == CallStatus::DENIED && e.policy.generation == 2) resets++;
    if (e.operation == "hang" && e.verdict == CallStatus::CANCELLED) cancelled++;
  });
  CHECK(resets == 1);
  CHECK(cancelled == 1);

  CHECK(f.reload(rule("rpc:gauge", "\"echo\"")).outcome == Outcome::APPLIED);
  CHECK(f.said(f.gauge().echoRequest()) == "ok");
}

TEST_CASE(
    "a method that is taken out of a rule is denied to the next call on a stream that stays, one that is added goes") {
  Fixture f(rule("rpc:gauge", "\"echo\", \"grow\""));
  auto gauge = f.gauge();
  CHECK(f.said(gauge.echoRequest()) == "ok");
  auto result = f.reload(rule("rpc:gauge", "\"sum\", \"grow\""));
  CHECK(result.outcome == Outcome::APPLIED);
  CHECK(result.streamsReset == 0);
  auto denied = f.said(gauge.echoRequest());
  INFO(denied.cStr());
  CHECK(contains(denied, "denied: no rule of node-b allows echo of rpc:gauge to node-a; audit id "));
  CHECK(f.lastRecord().policy.generation == 2);
  CHECK(f.said(gauge.sumRequest()) == "ok");
}

TEST_CASE("a rule that makes no sense and a change of what is offered are refused whole, and the old rules go on") {
  Fixture f(rule("rpc:gauge", "\"echo\""));
  auto gauge = f.gauge();
  auto refused = [&](LiveConfig::Result result, kj::StringPtr why) {
    CAPTURE(result.sentence.cStr());
    CHECK(result.outcome == Outcome::REFUSED);
    CHECK(contains(result.sentence, why));
    CHECK(f.said(gauge.echoRequest()) == "ok");
    CHECK(contains(f.said(gauge.sumRequest()), "denied: "));
  };
  auto good = rule("rpc:gauge", "\"echo\", \"sum\"");
  refused(f.reload(kj::str(good, rule("rpc:gauge", "\"weigh\""))),
          "names the method \"weigh\", which rpc:gauge does not have; it offers: ");
  refused(f.reload(kj::str(good, rule("rpc:gauge", "\"give\""))), "its results can hold a capability");
  refused(f.reload(kj::str(good, rule("rpc:notes", "\"get\""))),
          "which no [[dsoftbusd.offers]] entry offers; there are: rpc:samgr, rpc:gauge");
  refused(f.reload("", ""), "offers needs a restart: what is offered does not change while the node runs");
  refused(f.reload(good, kj::str(OFFER, "[[dsoftbusd.offers]]\nname = \"bundlemgr\"\n")),
          "offers needs a restart: what is offered does not change while the node runs");
}

TEST_CASE("a dry run says of calls and of openings what its rules would have decided, and decides nothing") {
  Fixture f(kj::str(rule("rpc:gauge", "\"echo\", \"grow\""), rule("rpc:samgr", "\"resolveStatus\"", "candidate"),
                    rule("rpc:gauge", "\"echo\", \"sum\"", "candidate")));
  auto& policy = f.b->daemon().livePolicy();
  auto differs = [&] { return f.lastRecord().policy.dryRun; };
  auto gauge = f.gauge();
  CHECK(differs() == DryRunVerdict::SAME);
  CHECK(f.said(gauge.echoRequest()) == "ok");
  CHECK(differs() == DryRunVerdict::SAME);
  CHECK(f.said(gauge.growRequest()) == "ok");
  CHECK(differs() == DryRunVerdict::WOULD_DENY);
  CHECK(contains(f.said(gauge.sumRequest()), "denied: "));
  CHECK(differs() == DryRunVerdict::WOULD_ALLOW);
  CHECK(f.open("samgr").outcome == StreamOutcome::DENIED);
  CHECK(differs() == DryRunVerdict::WOULD_ALLOW);
  CHECK(policy.counters().wouldAllow == 2);
  CHECK(policy.counters().wouldDeny == 1);

  // The candidate of denying everything: opening differs as well; no stream is reset.
  CHECK(f.live->setCandidate(kj::str(HEAD_B, OFFER)).outcome == Outcome::APPLIED);
  CHECK(f.open("gauge").outcome == StreamOutcome::OK);
  CHECK(differs() == DryRunVerdict::WOULD_DENY);
  CHECK(f.said(gauge.echoRequest()) == "ok");
  CHECK(differs() == DryRunVerdict::WOULD_DENY);
  auto wrong = f.live->setCandidate(kj::str(HEAD_B, OFFER, rule("rpc:gauge", "\"give\"")));
  CHECK(wrong.outcome == Outcome::REFUSED);
  CHECK(contains(wrong.sentence, "its results can hold a capability"));
}

}  // namespace
}  // namespace nexus
