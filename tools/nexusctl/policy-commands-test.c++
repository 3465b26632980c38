// The policy commands in this process: against configuration files, and against a node in memory that has refused a
// call of another.
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <stdlib.h>
#include <string.h>

#include <fstream>

#include "daemons/dsoftbusd/policy/bus-admin-server.h"
#include "libs/nexus-net-os/daemon/config-loader.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "tests/sim/sim-bus-node.h"
#include "tools/nexusctl/policy-source.h"
#include "tools/nexusctl/sim-doors.h"

namespace nexus::ctl {
namespace {

constexpr auto TOML_A = R"(
[dsoftbusd]
nodeName = "node-a"
allowTestIdentity = true
testIdentity = "node-a"
[[dsoftbusd.trust]]
name = "node-b"
testIdentity = "node-b"
)"_kj;

constexpr auto TOML_B = R"(
[dsoftbusd]
nodeName = "node-b"
allowTestIdentity = true
testIdentity = "node-b"
[[dsoftbusd.trust]]
name = "node-a"
testIdentity = "node-a"
[[dsoftbusd.policy]]
peer = "node-a"
service = "samgrd"
operations = ["resolve-status"]
)"_kj;

struct Files {
  kj::String folder = kj::str(getenv("TEST_TMPDIR"), "/policy-XXXXXX");
  Files() { KJ_ASSERT(mkdtemp(folder.begin()) != nullptr); }
  kj::String write(kj::StringPtr name, kj::StringPtr text) {
    auto path = kj::str(folder, '/', name);
    std::ofstream(path.cStr()) << text.cStr();
    return path;
  }
};

struct Fixture {
  SimClock sim;
  SimDoors doors{sim};
  Files files;
  kj::String config = files.write("b.toml", TOML_B);
};

// nexusctl runs on node b, which node a calls.
struct LiveFixture : Fixture {
  SimNetwork network{sim.timer};
  kj::Own<SimBusNode> a, b;

  explicit LiveFixture(kj::StringPtr tomlB = TOML_B) {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<SimBusNode>(sim, network, "node-a", TOML_A);
    b = kj::heap<SimBusNode>(sim, network, "node-b", tomlB);
    doors.put("/run/nexus/bus.sock", b->bus());
  }
};

TEST_CASE("a refused caller's audit id is explained on the node that refused, and the line it gives allows the call") {
  kj::String line;
  {
    LiveFixture f;
    auto refused = f.a->call("node-b", "bundlemgrd", bn::encodeList());
    REQUIRE(refused.status == CallStatus::DENIED);
    REQUIRE(refused.auditId > 0);
    auto why = f.doors.run(kj::str("policy explain --audit ", refused.auditId));
    CHECK(why.exit == Exit::OK);
    CHECK(contains(why.out, "denied  peer node-a  service bundlemgrd  operation list"));
    CHECK(contains(why.out, "DENY   no-rule"));
    CHECK(contains(why.out, "considered  rule 0: node-a samgrd resolve-status  (service differs)"));

    JsonDocument document(f.doors.run(kj::str("policy explain --json --audit ", refused.auditId)).out);
    line = kj::str(document["toAllow"].getString());
    CHECK(contains(why.out, line.cStr()));
    CHECK(JsonDocument::field(document["audit"], "verdict").getString() == "denied");
  }
  LiveFixture allowed(kj::str(TOML_B, line));
  auto answered = allowed.a->call("node-b", "bundlemgrd", bn::encodeList());
  CHECK(answered.status == CallStatus::OK);
  auto now = allowed.doors.run(kj::str("policy explain --audit ", answered.auditId));
  CHECK(contains(now.out, "ALLOW  rule"));
  CHECK(contains(now.out, "decided by  rule 1: node-a bundlemgrd list"));
}

TEST_CASE("what the policy did not decide is explained as what it is, and an id that nobody gave is exit 4") {
  LiveFixture f;
  auto malformed = f.a->call("node-b", "samgrd", "x"_kj.asBytes());
  REQUIRE(malformed.status == CallStatus::MALFORMED);
  auto why = f.doors.run(kj::str("policy explain --audit ", malformed.auditId));
  CHECK(contains(why.out, "other-check  the frame is not a request of that service"));
  auto unknown = f.doors.run("policy explain --audit 99");
  CHECK(unknown.exit == Exit::NOT_FOUND);
  CHECK(contains(unknown.err, "There is no audit record 99"));
}

TEST_CASE("every kind of record is explained as what it is: an event, a refusal, or a call that failed later") {
  LiveFixture f;
  auto& log = f.b->daemon().audit();
  auto explain = [&](uint64_t id) { return f.doors.run(kj::str("policy explain --audit ", id)).out; };
  struct Event {
    const char* name;
    CallStatus verdict;
    const char *head, *said;
  };
  for (auto& event :
       {Event{"pair", CallStatus::OK, ": ok  peer node-q  event pair  at ", "EVENT  the peer was paired: "},
        Event{"pair", CallStatus::TIMED_OUT, ": timed-out  peer node-q  event pair  at ",
              "EVENT  a window for pairing closed "},
        Event{"pair", CallStatus::UNAUTHENTICATED, ": unauthenticated  peer node-q  event pair  at ",
              "EVENT  a pairing was refused "},
        Event{"revoke", CallStatus::UNAUTHENTICATED, "  event revoke  at ", "EVENT  this node trusts "},
        Event{"rekey", CallStatus::OK, ": ok  peer node-q  event rekey  at ", "EVENT  the paired peer "},
        Event{"handshake", CallStatus::UNAUTHENTICATED, "  event handshake  at ", "EVENT  a connection "},
        Event{"announce", CallStatus::UNAUTHENTICATED, "  event announce  at ", "EVENT  an announcement "}}) {
    auto id = log.append("node-q", "", event.name, event.verdict, 0);
    auto text = explain(id);
    CAPTURE(text.cStr());
    CHECK(contains(text, event.head));
    CHECK(contains(text, kj::str("Z\n", event.said).cStr()));
    CHECK_FALSE(contains(text, "DENY"));
    CHECK_FALSE(contains(text, "service"));
    JsonDocument document(f.doors.run(kj::str("policy explain --json --audit ", id)).out);
    CHECK(document["allowed"].isNull());
    CHECK(document["reason"].getString() == "event");
  }
  auto changed = explain(log.appendChange("reload changed: trust; policy 1", CallStatus::OK, 1));
  CHECK(contains(changed, ": ok  configuration of this node  at "));
  CHECK(contains(changed, "\nEVENT  this node's own configuration was changed: reload changed: trust; policy 1\n"));
  auto refused = explain(log.appendChange("reload refused: needs a restart: sandbox", CallStatus::DENIED, 1));
  CHECK(contains(refused, ": denied  configuration of this node  at "));
  CHECK(contains(refused, "\nEVENT  a change of this node's own configuration was refused, and nothing was changed: "));

  for (uint16_t v = 0; v < CALL_VERDICTS; v++) {
    for (auto service : {"samgrd", "rpc:notes"}) {
      auto verdict = CallStatus(v);
      f.sim.advance(2 * kj::SECONDS);  // or two of one peer above its rate share a record
      auto text = explain(log.append("node-a", service, "", verdict, 4));
      CAPTURE(text.cStr());
      CHECK(contains(text,
                     kj::str(": ", statusName(verdict), "  peer node-a  service ", service, "  operation -").cStr()));
      bool later = verdict == CallStatus::BACKEND_FAILED || verdict == CallStatus::TIMED_OUT ||
                   verdict == CallStatus::REPLY_OVERSIZED || verdict == CallStatus::CANCELLED;
      bool decided = verdict == CallStatus::OK || verdict == CallStatus::DENIED;
      CHECK(contains(text, "\nALLOW  failed-later  a rule allowed it, but") == later);
      CHECK(contains(text, "\nDENY   other-check  ") == (!later && !decided));
      CHECK_FALSE(contains(text, "EVENT"));
    }
  }
}

TEST_CASE("a question has the same answer from the running daemon and from its configuration file") {
  LiveFixture f;
  for (auto service : {"samgrd", "bundlemgrd", "vaultd", "stream:app/sync"}) {
    for (auto operation : {"resolve-status", "register", "list", "open"}) {
      for (auto peer : {"node-a", "node-x"}) {
        auto question = kj::str("policy explain --json --peer ", peer, " --service ", service, " --op ", operation);
        auto live = f.doors.run(question), file = f.doors.run(kj::str(question, " --config ", f.config));
        CHECK(live.exit == Exit::OK);
        CHECK(live.out == file.out);
        bool allowed = contains(question, "--peer node-a --service samgrd --op resolve-status");
        CHECK(JsonDocument(live.out)["allowed"].getBoolean() == allowed);
      }
    }
  }
}

TEST_CASE("half a question, or a question and an audit id, is a usage error") {
  Fixture f;
  for (auto line : {"policy explain", "policy explain --peer node-a", "policy explain --peer node-a --service samgrd",
                    "policy explain --service samgrd --op list", "policy explain --audit 1 --config x",
                    "policy explain --audit 1 --peer a --service b --op c"}) {
    CAPTURE(line);
    CHECK(f.doors.run(line).exit == Exit::USAGE);
  }
}

TEST_CASE("show and check tell of a good file; a bad one is exit 8 with the place, a missing one exit 4") {
  Fixture f;
  auto show = f.doors.run(kj::str("policy show --config ", f.config));
  CHECK(show.exit == Exit::OK);
  CHECK(contains(show.out, "0     node-a  samgrd   resolve-status\n"));
  auto check = f.doors.run(kj::str("policy check --config ", f.config));
  CHECK(check.exit == Exit::OK);
  CHECK(contains(check.out, "ok, 1 rules, 1 peers, publicly known TEST keys"));
  CHECK_FALSE(contains(check.out, "--import"));
  auto needing = f.files.write("state.toml", kj::str(TOML_B, "[[dsoftbusd.policy]]\npeer = \"node-a\"\n",
                                                     "service = \"statefsd\"\noperations = [\"get\"]\n"));
  check = f.doors.run(kj::str("policy check --config ", needing));
  CHECK(check.exit == Exit::OK);
  CHECK(contains(check.out, "--import statefs="));
  CHECK_FALSE(contains(check.out, "--import packagefs="));

  auto unknownPeer = f.files.write("peer.toml", kj::str(TOML_B, "[[dsoftbusd.policy]]\npeer = \"node-z\"\n"));
  auto unknownKey = f.files.write("key.toml", "[dsoftbusd]\nnodName = \"b\"\n");
  auto noToml = f.files.write("no.toml", "[dsoftbusd\n");
  for (auto command : {"show", "check"}) {
    auto peer = f.doors.run(kj::str("policy ", command, " --config ", unknownPeer));
    CHECK(peer.exit == Exit::BAD_CONFIG);
    CHECK(contains(peer.err, "node-z"));
    auto key = f.doors.run(kj::str("policy ", command, " --config ", unknownKey));
    CHECK(key.exit == Exit::BAD_CONFIG);
    CHECK(contains(key.err, "key.toml:2:"));
    CHECK(f.doors.run(kj::str("policy ", command, " --config ", noToml)).exit == Exit::BAD_CONFIG);
    CHECK(f.doors.run(kj::str("policy ", command, " --config ", f.files.folder, "/missing")).exit == Exit::NOT_FOUND);
  }
}

TEST_CASE("a configuration is checked without its identity file being opened") {
  Fixture f;
  auto path = f.files.write("id.toml", "[dsoftbusd]\nnodeName = \"b\"\nidentityFile = \"/nonexistent/identity\"\n");
  CHECK(f.doors.run(kj::str("policy check --config ", path)).exit == Exit::OK);
}

TEST_CASE("expectations that hold are exit 0; each that does not is told with its line and exit 1") {
  LiveFixture f;
  auto good = f.files.write(
      "good", "# who may what\n\nallow node-a samgrd resolve-status\r\ndeny node-a samgrd register # kept\n");
  auto bad = f.files.write(
      "bad", "allow node-a samgrd resolve-status\nallow node-a bundlemgrd list\ndeny node-a samgrd resolve-status\n");
  for (auto& source : {kj::str(), kj::str(" --config ", f.config)}) {
    auto met = f.doors.run(kj::str("policy test ", good, source));
    CHECK(met.exit == Exit::OK);
    CHECK(contains(met.out, "2 of 2 expectations met"));
    auto missed = f.doors.run(kj::str("policy test ", bad, source));
    CHECK(missed.exit == Exit::OTHER);
    CHECK_FALSE(contains(missed.out, "bad:1:"));
    CHECK(contains(missed.out, "bad:2: allow node-a bundlemgrd list\n  but: no rule allows"));
    CHECK(contains(missed.out, "bad:3: deny node-a samgrd resolve-status\n  but: rule 0 names"));
    CHECK(contains(missed.out, "1 of 3 expectations met"));
    JsonDocument document(f.doors.run(kj::str("policy test --json ", bad, source)).out);
    CHECK(document["failed"].getArray().size() == 2);
  }
}

TEST_CASE("an expectation file that says nothing, or something else, is exit 8") {
  Fixture f;
  for (auto text :
       {"", "# only a comment\n", "allow node-a samgrd\n", "permit node-a samgrd list\n", "allow a b c d\n"}) {
    auto path = f.files.write("expectations", text);
    auto result = f.doors.run(kj::str("policy test ", path, " --config ", f.config));
    CAPTURE(text);
    CHECK(result.exit == Exit::BAD_CONFIG);
  }
  CHECK(contains(f.doors.run(kj::str("policy test ", f.files.write("x", "\nallow a\n"), " --config ", f.config)).err,
                 "x:2:"));
}

// Node b has a file that it can read again.
struct AdminFixture : LiveFixture {
  capnp::MallocMessageBuilder message;
  kj::Own<LiveConfig> live;

  AdminFixture() {
    auto schema = capnp::Schema::from<config::Dsoftbusd>();
    KJ_ASSERT(loadConfig("b.toml", TOML_B, "dsoftbusd", schema, message) == nullptr);
    LiveConfig::ReadText read = [this]() -> kj::OneOf<kj::String, SettingsError> {
      return kj::str(readTextFile(config).get<kj::String>());
    };
    live = kj::heap<LiveConfig>(
        b->daemon(), message.getRoot<config::Dsoftbusd>().asReader(), "b.toml", kj::mv(read),
        [this](kj::Array<TrustedPeer> peers) { b->daemon().applyTrust(kj::mv(peers)); },
        [] { return LoadTime{kj::UNIX_EPOCH, kj::origin<kj::TimePoint>()}; });
    doors.put("/run/nexus/bus-admin.sock", newBusAdminServer(*live));
  }
};

constexpr auto LIST_RULE =
    "[[dsoftbusd.policy]]\npeer = \"node-a\"\nservice = \"bundlemgrd\"\noperations = [\"list\"]\n"_kj;

TEST_CASE("a reload puts the file into force, tells what changed, and refuses what it must with exit 8") {
  AdminFixture f;
  auto same = f.doors.run("policy reload");
  CHECK(same.exit == Exit::OK);
  CHECK(contains(same.out, "nothing changed"));
  f.files.write("b.toml", kj::str(TOML_B, LIST_RULE));
  auto done = f.doors.run("policy reload --json");
  CHECK(done.exit == Exit::OK);
  JsonDocument document(done.out);
  CHECK(document["outcome"].getString() == "applied");
  CHECK(document["changed"].getArray()[0].getString() == "policy");
  CHECK(document["generation"].getNumber() == 2);
  CHECK(f.a->call("node-b", "bundlemgrd", bn::encodeList()).status == CallStatus::OK);
  auto tail = f.doors.run("audit tail");
  CHECK(contains(tail.out, "reload changed: policy; policy 2"));
  JsonDocument records(f.doors.run("audit tail --json").out);
  CHECK(records["boot"].getString().size() == 16);
  auto show = f.doors.run("policy show");
  CHECK(contains(show.out, "1     node-a  bundlemgrd  list\n"));
  CHECK(contains(show.out, "policy 2 of the running dsoftbusd, mode enforce"));
  f.files.write("b.toml", kj::str("[dsoftbusd]\nsessionPort = 1\n", TOML_B.slice(13)));
  auto restart = f.doors.run("policy reload");
  CHECK(restart.exit == Exit::BAD_CONFIG);
  CHECK(contains(restart.err, "Nothing was changed: needs a restart: sessionPort."));
  f.files.write("b.toml", "[dsoftbusd]\nnodName = 1\n");
  auto bad = f.doors.run("policy reload");
  CHECK(bad.exit == Exit::BAD_CONFIG);
  CHECK(contains(bad.err, "b.toml:2:"));
  CHECK(f.a->call("node-b", "bundlemgrd", bn::encodeList()).status == CallStatus::OK);
  f.doors.close("/other", Closed::FORBIDDEN);
  CHECK(f.doors.run("policy reload --admin /other").exit == Exit::DENIED);
}

TEST_CASE("the mode is shown, begun with a candidate and ended; no call is answered otherwise in a dry run") {
  AdminFixture f;
  auto candidate = f.files.write("candidate.toml", kj::str(TOML_B, LIST_RULE));
  CHECK(contains(f.doors.run("policy mode").out, "enforce: policy 1 with 1 rules decides"));
  auto dry = f.doors.run(kj::str("policy mode dry-run --config ", candidate));
  CHECK(dry.exit == Exit::OK);
  CHECK(contains(dry.out, "a candidate with 2 rules is evaluated beside it"));
  auto refused = f.a->call("node-b", "bundlemgrd", bn::encodeList());
  CHECK(refused.status == CallStatus::DENIED);
  JsonDocument document(f.doors.run("policy mode --json").out);
  CHECK(document["mode"].getString() == "dry-run");
  CHECK(document["wouldAllow"].getNumber() == 1);
  auto why = f.doors.run(kj::str("policy explain --audit ", refused.auditId));
  CHECK(contains(why.out, "the candidate of the dry run would have allowed it"));
  CHECK(contains(f.doors.run("audit tail").out, "would-allow"));
  auto change = f.doors.run(kj::str("policy explain --audit ", refused.auditId - 1));
  CHECK(contains(change.out, "EVENT  this node's own configuration was changed: dry run: a candidate of 2 rules"));
  CHECK(contains(f.doors.run("policy mode enforce").out, "enforce: policy 1"));
  CHECK(f.b->daemon().livePolicy().candidate() == nullptr);
  for (auto line : {"policy mode dry-run", "policy mode enforce --config x", "policy mode off"}) {
    CHECK(f.doors.run(line).exit == Exit::USAGE);
  }
  auto bad = f.files.write("bad.toml", "[dsoftbusd]\n");
  CHECK(f.doors.run(kj::str("policy mode dry-run --config ", bad)).exit == Exit::BAD_CONFIG);
}

TEST_CASE("a diff tells what is newly allowed and denied in effect, between files and from the running daemon") {
  LiveFixture f;
  auto wider = f.files.write("wider.toml", kj::str(TOML_B, LIST_RULE));
  auto same = f.doors.run(kj::str("policy diff ", f.config));
  CHECK(same.exit == Exit::OK);
  CHECK(contains(same.out, "no difference in effect"));
  CHECK(f.doors.run(kj::str("policy diff ", wider, " ", wider)).exit == Exit::OK);
  auto live = f.doors.run(kj::str("policy diff ", wider));
  CHECK(live.exit == Exit::OTHER);
  CHECK(live.out == "allow node-a bundlemgrd list\n1 newly allowed, 0 newly denied\n");
  auto back = f.doors.run(kj::str("policy diff ", wider, " ", f.config));
  CHECK(back.out == "deny  node-a bundlemgrd list\n0 newly allowed, 1 newly denied\n");
  JsonDocument document(f.doors.run(kj::str("policy diff --json ", wider, " ", f.config)).out);
  CHECK(JsonDocument::field(document["newlyDenied"].getArray()[0], "operation").getString() == "list");
  CHECK(f.doors.run("policy diff /nonexistent").exit == Exit::NOT_FOUND);
}

TEST_CASE("a name that means another device in the other file is a difference") {
  Fixture f;
  kj::String other = kj::str(TOML_B);
  auto at = strstr(other.begin(), "name = \"node-a\"\ntestIdentity = \"node-a\"");
  REQUIRE(at != nullptr);
  memcpy(at + strlen("name = \"node-a\"\ntestIdentity = \""), "node-q", 6);
  auto result = f.doors.run(kj::str("policy diff ", f.config, " ", f.files.write("q.toml", other)));
  CHECK(result.exit == Exit::OTHER);
  CHECK(contains(result.out, "1 newly allowed, 1 newly denied"));
  CHECK(contains(result.out, "(device "));
}

TEST_CASE("a rule for a peer that was paired is about the same device in the file and in the running daemon") {
  constexpr auto PAIRED_RULE =
      "[[dsoftbusd.policy]]\npeer = \"node-p\"\nservice = \"bundlemgrd\"\noperations = [\"list\"]\n"_kj;
  auto toml = kj::str(TOML_B, PAIRED_RULE);
  auto withFile = kj::str("\n[dsoftbusd]\ntrustFile = \"/nonexistent/paired\"", toml.slice(strlen("\n[dsoftbusd]")));
  Fixture f;
  auto a = f.files.write("paired.toml", withFile);
  CHECK(f.doors.run(kj::str("policy diff ", a, " ", a)).exit == Exit::OK);
  auto gone = f.doors.run(kj::str("policy diff ", a, " ", f.config));
  CHECK(gone.exit == Exit::OTHER);
  CHECK(gone.out == "deny  node-p bundlemgrd list\n0 newly allowed, 1 newly denied\n");
}

}  // namespace
}  // namespace nexus::ctl
