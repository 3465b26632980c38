#include "daemons/dsoftbusd/policy/live-config.h"

#include <doctest/doctest.h>
#include <string.h>

#include "daemons/dsoftbusd/policy/bus-admin-server.h"
#include "libs/nexus-net-os/daemon/config-loader.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "tests/sim/sim-bus-node.h"

namespace nexus {
namespace {

using Outcome = idl::BusAdmin::Outcome;

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
)"_kj;

constexpr auto TRUST_A = "[[dsoftbusd.trust]]\nname = \"node-a\"\ntestIdentity = \"node-a\"\n"_kj;
constexpr auto TRUST_C = "[[dsoftbusd.trust]]\nname = \"node-c\"\ntestIdentity = \"node-c\"\n"_kj;

kj::String rule(kj::StringPtr service, kj::StringPtr operation, kj::StringPtr table = "policy") {
  return kj::str("[[dsoftbusd.", table, "]]\npeer = \"node-a\"\nservice = \"", service, "\"\noperations = [\"",
                 operation, "\"]\n");
}

bool contains(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

// Node a calls node b, whose file is `file`.
struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::String file;
  kj::Own<SimBusNode> a, b;
  capnp::MallocMessageBuilder message;
  kj::Own<LiveConfig> live;

  explicit Fixture(kj::String text) : file(kj::mv(text)) {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<SimBusNode>(sim, network, "node-a", HEAD_A);
    b = kj::heap<SimBusNode>(sim, network, "node-b", file);
    auto schema = capnp::Schema::from<config::Dsoftbusd>();
    KJ_ASSERT(loadConfig("b.toml", file, "dsoftbusd", schema, message) == nullptr);
    makeLive();
  }
  void makeLive() {
    LiveConfig::ReadText read = [this]() -> kj::OneOf<kj::String, SettingsError> {
      if (file.size() == 0) return SettingsError{kj::str("b.toml: cannot be read")};
      return kj::str(file);
    };
    live = kj::heap<LiveConfig>(
        b->daemon(), message.getRoot<config::Dsoftbusd>().asReader(), "b.toml", kj::mv(read),
        [this](kj::Array<TrustedPeer> peers) { b->daemon().applyTrust(kj::mv(peers)); },
        [this] { return LoadTime{kj::UNIX_EPOCH, sim.timer.now()}; });
  }
  ~Fixture() {
    live = nullptr;
    b = nullptr;
    a = nullptr;
  }

  template <typename... Parts>
  LiveConfig::Result reload(Parts&&... parts) {
    file = kj::str(kj::fwd<Parts>(parts)...);
    return live->reload();
  }
  CallStatus list() { return a->call("node-b", "bundlemgrd", bn::encodeList()).status; }
  kj::String lastChange() {
    kj::String last;
    b->daemon().audit().forEachAfter(0, [&](const AuditEntry& e) {
      if (e.change.size() > 0) last = kj::str(e.id, ' ', statusName(e.verdict), ' ', e.change);
    });
    return last;
  }
};

TEST_CASE("a rule that is added allows the next call, and one that is taken away denies it") {
  Fixture f(kj::str(HEAD_B, TRUST_A));
  CHECK(f.list() == CallStatus::DENIED);
  auto added = f.reload(HEAD_B, TRUST_A, rule("bundlemgrd", "list"));
  CHECK(added.outcome == Outcome::APPLIED);
  CHECK(kj::strArray(added.changed, ",") == "policy");
  CHECK(f.live->policyGeneration() == 2);
  CHECK(f.lastChange() == kj::str(added.auditId, " ok reload changed: policy; policy 2"));
  CHECK(f.list() == CallStatus::OK);
  CHECK(f.reload(HEAD_B, TRUST_A).outcome == Outcome::APPLIED);
  CHECK(f.list() == CallStatus::DENIED);
  CHECK(f.live->counters().reloads == 2);
}

TEST_CASE("a file that says what is in force changes nothing and leaves no record") {
  Fixture f(kj::str(HEAD_B, TRUST_A, rule("bundlemgrd", "list")));
  auto again = f.reload("# a comment\n", HEAD_B, TRUST_A, rule("bundlemgrd", "list"));
  CHECK(again.outcome == Outcome::UNCHANGED);
  CHECK(again.auditId == 0);
  CHECK(f.live->policyGeneration() == 1);
  CHECK(f.b->daemon().audit().lastId() == 0);
}

TEST_CASE("whatever is wrong with the file, nothing changes, and the sentence is that of the start") {
  Fixture f(kj::str(HEAD_B, TRUST_A));
  auto refused = [&](kj::StringPtr why) {
    auto result = f.live->reload();
    CAPTURE(result.sentence.cStr());
    CHECK(result.outcome == Outcome::REFUSED);
    CHECK(contains(result.sentence, why));
    CHECK(f.lastChange() == kj::str(result.auditId, " denied reload refused: ", result.sentence));
    CHECK(f.live->policyGeneration() == 1);
    CHECK(f.list() == CallStatus::DENIED);
  };
  // Each has a good rule that must not come into force either.
  auto good = rule("bundlemgrd", "list");
  f.file = kj::str(HEAD_B, TRUST_A, good, rule("samgrd", "register"));
  refused("does not offer to other nodes");
  f.file = kj::str(HEAD_B, good, TRUST_A, "[[dsoftbusd.policy]]\npeer = \"node-z\"\n");
  refused("node-z");
  f.file = kj::str(HEAD_B, TRUST_A, good, "[dsoftbusd\n");
  refused("b.toml:");
  f.file = kj::str(HEAD_B, "ratePerSecnd = 3\n", TRUST_A, good);
  refused("did you mean \"ratePerSecond\"?");
  f.file = kj::str(HEAD_B, "ratePerSecond = 0\n", TRUST_A, good);
  refused("must not be 0");
  f.file = kj::str(HEAD_B, TRUST_A, good, "[[dsoftbusd.trust]]\nname = \"me\"\ntestIdentity = \"node-b\"\n");
  refused("is this node itself");
  // The identity file is not opened again, and still this node knows which device it is.
  f.file = kj::str("[dsoftbusd]\nnodeName = \"node-b\"\nallowTestIdentity = true\nidentityFile = \"/seed\"\n", TRUST_A,
                   good, "[[dsoftbusd.trust]]\nname = \"me\"\ntestIdentity = \"node-b\"\n");
  refused("trust entry \"me\" is this node itself");
  f.file = kj::str();
  refused("b.toml: cannot be read");
  CHECK(f.live->counters().refused == 8);
  CHECK(f.live->counters().reloads == 0);
}

TEST_CASE(
    "trust that cannot be changed leaves the policy, the rates, the services and the candidate as they were too") {
  Fixture f(kj::str(HEAD_B, "maxTrustedPeers = 2\ntrustFile = \"/state/paired\"\n", TRUST_A));
  TrustedPeer paired[] = {{kj::str("paired"), DeviceIdentity::forTest("paired").publicIdentity()}};
  f.b->paired.save(paired);
  f.b->stop();
  f.b->start();
  f.makeLive();
  REQUIRE(f.b->daemon().trusted().all().size() == 2);
  CHECK(f.list() == CallStatus::DENIED);
  auto session = KJ_ASSERT_NONNULL(KJ_ASSERT_NONNULL(f.b->daemon().sessions().findLink("node-a")).session());
  auto head = kj::str(HEAD_B, "maxTrustedPeers = 2\ntrustFile = \"/state/paired\"\n");
  auto result = f.reload(head, "ratePerSecond = 1\nrateBurst = 1\nservices = [\"samgrd\"]\n", TRUST_C, TRUST_A,
                         rule("bundlemgrd", "list"), rule("samgrd", "resolve-status", "candidate"));
  CHECK(result.outcome == Outcome::REFUSED);
  CHECK(result.sentence ==
        "3 trusted peers, of which 2 are configured and 1 paired; at most 2: raise maxTrustedPeers, or unpair some");
  CHECK(f.lastChange() == kj::str(result.auditId, " denied reload refused: ", result.sentence));
  CHECK(f.b->daemon().trusted().all().size() == 2);
  CHECK(f.b->daemon().trusted().findByName("node-c") == nullptr);
  CHECK(f.b->daemon().livePolicy().candidate() == nullptr);
  CHECK(f.live->policyGeneration() == 1);
  for (int i = 0; i < 3; i++) CHECK(f.list() == CallStatus::DENIED);  // and not rate limited
  CHECK_FALSE(session->hasEnded());
  f.sim.advance(20 * kj::SECONDS);
  auto& heard = KJ_ASSERT_NONNULL(f.a->daemon().peers().peers().peek(DeviceIdentity::forTest("node-b").deviceId()));
  CHECK(heard.announce.services.size() == 0);
  CHECK(f.reload(head, TRUST_A).outcome == Outcome::UNCHANGED);
}

TEST_CASE("a key that cannot change while the node runs is named, and what else changed is not applied") {
  Fixture f(kj::str(HEAD_B, TRUST_A));
  auto result =
      f.reload(HEAD_B, "sessionPort = 4000\nsandbox = false\nratePerSecond = 3\n", TRUST_A, rule("bundlemgrd", "list"));
  CHECK(result.outcome == Outcome::REFUSED);
  CHECK(result.sentence == "needs a restart: sessionPort, sandbox");
  CHECK(kj::strArray(result.needsRestart, ",") == "sessionPort,sandbox");
  CHECK(f.list() == CallStatus::DENIED);
}

TEST_CASE("every key of the schema either changes alone or needs a restart") {
  // A key that a later version adds is on the safe side until somebody makes it live.
  auto schema = capnp::Schema::from<config::Dsoftbusd>();
  for (auto key : {"nodeName", "identityFile", "testIdentity", "allowTestIdentity", "sessionPort", "discoveryPort",
                   "multicastGroup", "maxPeers", "sandbox"}) {
    CHECK(schema.findFieldByName(key) != nullptr);
  }
  Fixture f(kj::str(HEAD_B, TRUST_A));
  CHECK(f.reload(HEAD_B, "maxPeers = 17\n", TRUST_A).sentence == "needs a restart: maxPeers");
  CHECK(f.reload(HEAD_B, "multicastGroup = \"\"\n", TRUST_A).sentence == "needs a restart: multicastGroup");
  CHECK(f.reload(HEAD_B, "maxPeers = 16\n", TRUST_A).outcome == Outcome::UNCHANGED);  // the default, written out
}

TEST_CASE("rates, announced services and trust change together with the policy, in one step") {
  Fixture f(kj::str(HEAD_B, TRUST_A));
  CHECK(f.list() == CallStatus::DENIED);
  auto result = f.reload(HEAD_B, "ratePerSecond = 1\nrateBurst = 2\nservices = [\"samgrd\"]\n", TRUST_A, TRUST_C,
                         rule("bundlemgrd", "list"));
  CHECK(result.outcome == Outcome::APPLIED);
  CHECK(kj::strArray(result.changed, ",") == "trust,policy,rate,services");
  CHECK(f.b->daemon().trusted().findByName("node-c") != nullptr);
  CHECK(f.list() == CallStatus::OK);
  CHECK(f.list() == CallStatus::OK);
  CHECK(f.list() == CallStatus::RATE_LIMITED);
  f.sim.advance(20 * kj::SECONDS);  // the next announcement
  auto& heard = KJ_ASSERT_NONNULL(f.a->daemon().peers().peers().peek(DeviceIdentity::forTest("node-b").deviceId()));
  REQUIRE(heard.announce.services.size() == 1);
  CHECK(heard.announce.services[0] == "samgrd");
}

TEST_CASE("a peer that the new file does not trust loses its session; without its trust entry its rules are an error") {
  Fixture f(kj::str(HEAD_B, TRUST_A, rule("bundlemgrd", "list")));
  CHECK(f.list() == CallStatus::OK);
  CHECK(f.reload(HEAD_B, TRUST_C, rule("bundlemgrd", "list")).outcome == Outcome::REFUSED);
  CHECK(f.list() == CallStatus::OK);
  CHECK(f.reload(HEAD_B, TRUST_C).outcome == Outcome::APPLIED);
  f.sim.advance(1 * kj::SECONDS);
  CHECK(f.b->daemon().sessions().findLink("node-a") == nullptr);
  CHECK(f.a->state("node-b") != idl::SessionState::READY);
}

TEST_CASE(
    "a stream whose rule is gone is reset at both ends, with the record of the decision; one with a rule lives on") {
  Fixture f(kj::str(HEAD_B, TRUST_A, rule("stream:kept", "open"), rule("stream:gone", "open")));
  auto session = f.a->session("node-b");
  auto open = [&](kj::StringPtr name) {
    auto request = session.openStreamRequest();
    request.setName(name);
    auto response = f.sim.run(kj::Promise<capnp::Response<idl::PeerSession::OpenStreamResults>>(request.send()));
    CHECK(response.getOutcome() == idl::PeerSession::StreamOutcome::OK);
    return response.getStream();
  };
  auto kept = open("kept"), gone = open("gone");
  auto read = [&](idl::MuxStream::Client& stream) {
    auto request = stream.readRequest();
    request.setMaxBytes(1);
    return request.send().ignoreResult();
  };
  auto keptRead = read(kept), goneRead = read(gone);
  auto result = f.reload(HEAD_B, TRUST_A, rule("stream:kept", "open"));
  CHECK(result.streamsReset == 1);
  CHECK(contains(result.sentence, "streams reset: 1"));
  bool reset = false;
  f.sim.run(goneRead.catch_([&](kj::Exception&& e) { reset = e.getType() == kj::Exception::Type::DISCONNECTED; }));
  CHECK(reset);
  CHECK_FALSE(keptRead.poll(f.sim.waitScope));
  CHECK(f.live->counters().streamsReset == 1);
  size_t records = 0;
  f.b->daemon().audit().forEachAfter(0, [&](const AuditEntry& e) {
    if (e.service == "stream:gone" && e.verdict == CallStatus::DENIED && e.policy.generation == 2) records++;
  });
  CHECK(records == 1);
}

// ---- dry run

TEST_CASE("a candidate, of the file or handed in, changes no answer; its differences are in the records and counted") {
  Fixture f(kj::str(HEAD_B, TRUST_A, rule("bundlemgrd", "list", "candidate")));
  auto& policy = f.b->daemon().livePolicy();
  CHECK(f.list() == CallStatus::DENIED);
  CHECK(policy.counters().wouldAllow == 1);
  CHECK(f.live->dropCandidate().outcome == Outcome::APPLIED);
  CHECK(f.live->dropCandidate().outcome == Outcome::UNCHANGED);
  CHECK(f.list() == CallStatus::DENIED);
  CHECK(policy.counters().wouldAllow == 1);
  auto toml = kj::str(HEAD_B, TRUST_A, rule("bundlemgrd", "list"));
  CHECK(f.live->setCandidate(toml).outcome == Outcome::APPLIED);
  CHECK(f.live->setCandidate(toml).outcome == Outcome::UNCHANGED);
  CHECK(f.list() == CallStatus::DENIED);
  CHECK(policy.counters().wouldAllow == 2);
  CHECK(policy.generation() == 1);
  // The file is what counts: with the next reload the dry run is again what it says.
  CHECK(kj::strArray(f.reload(HEAD_B, TRUST_A).changed, ",") == "candidate");
  CHECK(policy.candidate() == nullptr);
  CHECK(f.reload(HEAD_B, "candidate = []\n", TRUST_A).outcome == Outcome::APPLIED);
  CHECK(KJ_ASSERT_NONNULL(policy.candidate()).size() == 0);
}

TEST_CASE("a candidate that is wrong, too long, or means another device by a name is refused") {
  Fixture f(kj::str(HEAD_B, TRUST_A));
  auto refused = [&](kj::StringPtr toml, kj::StringPtr why) {
    auto result = f.live->setCandidate(toml);
    CHECK(result.outcome == Outcome::REFUSED);
    CHECK(contains(result.sentence, why));
    CHECK(f.b->daemon().livePolicy().candidate() == nullptr);
  };
  refused(kj::str(HEAD_B, rule("bundlemgrd", "list")), "no trust entry");
  refused(
      kj::str(HEAD_B, "[[dsoftbusd.trust]]\nname = \"node-a\"\ntestIdentity = \"other\"\n", rule("bundlemgrd", "list")),
      "is not the one that this node trusts");
  auto most = kj::heapString((1 << 20) + 1);
  memset(most.begin(), '\n', most.size());
  refused(most, "longer than 1 MiB");
  most = kj::heapString((1 << 20) - HEAD_B.size());
  memset(most.begin(), '\n', most.size());
  CHECK(f.live->setCandidate(kj::str(HEAD_B, most)).outcome == Outcome::APPLIED);
}

TEST_CASE("the capability tells the result; a daemon without a file says so") {
  Fixture f(kj::str(HEAD_B, TRUST_A));
  auto admin = newBusAdminServer(*f.live);
  f.file = kj::str(HEAD_B, TRUST_A, rule("bundlemgrd", "list"));
  auto done = f.sim.run(kj::Promise<capnp::Response<idl::BusAdmin::ReloadResults>>(admin.reloadRequest().send()));
  CHECK(done.getResult().getOutcome() == Outcome::APPLIED);
  CHECK(done.getResult().getGeneration() == 2);
  CHECK(done.getResult().getChanged()[0] == "policy");
  CHECK(done.getResult().getAuditId() > 0);
  LiveConfig without(
      f.b->daemon(), f.message.getRoot<config::Dsoftbusd>().asReader(), "", nullptr, [](kj::Array<TrustedPeer>) {},
      [] { return LoadTime{kj::UNIX_EPOCH, kj::origin<kj::TimePoint>()}; });
  CHECK(without.reload().outcome == Outcome::NO_FILE);
}

}  // namespace
}  // namespace nexus
