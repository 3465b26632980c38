// nexusctl bus rpc in this process: from one node in memory to the example service and samgr of another.
#include <doctest/doctest.h>

#include "daemons/dsoftbusd/schema-rpc/example/notes-service.h"
#include "tests/sim/sim-bus-node.h"
#include "tools/nexusctl/json-answer.h"
#include "tools/nexusctl/sim-doors.h"

namespace nexus::ctl {
namespace {

constexpr auto SCHEMA = "daemons/dsoftbusd/schema-rpc/example/notes.schema"_kj;

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
[[dsoftbusd.offers]]
name = "notes"
schema = "daemons/dsoftbusd/schema-rpc/example/notes.schema"
[[dsoftbusd.offers]]
name = "samgr"
[[dsoftbusd.offers]]
name = "bundlemgr"
[[dsoftbusd.policy]]
peer = "node-a"
service = "rpc:notes"
operations = ["put", "get"]
[[dsoftbusd.policy]]
peer = "node-a"
service = "rpc:samgr"
operations = ["resolveStatus"]
)"_kj;

struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  SimDoors doors{sim};
  kj::Own<SimBusNode> a, b;

  Fixture() {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<SimBusNode>(sim, network, "node-a", TOML_A);
    b = kj::heap<SimBusNode>(sim, network, "node-b", TOML_B);
    b->serveImport("notes", idl::Notes::Client(kj::heap<NotesService>()));
    doors.put("/run/nexus/bus.sock", a->bus());
  }

  Result notes(kj::StringPtr words) { return doors.run(kj::str("bus rpc node-b notes ", words, " --schema ", SCHEMA)); }
};

TEST_CASE("a method is called with JSON and answers with JSON, by a schema in a file") {
  Fixture f;
  auto put = f.notes("put {\"name\":\"shopping\",\"text\":\"milk\"}");
  CHECK(put.exit == Exit::OK);
  CHECK(put.err == "");
  CHECK(contains(put.out, "\"outcome\": \"ok\""));
  auto got = f.notes("get {\"name\":\"shopping\"} --json");
  CHECK(got.exit == Exit::OK);
  JsonDocument document(got.out);
  CHECK(document["schema"].getString() == "nexus.rpc/1");
  CHECK(document["peer"].getString() == "node-b");
  CHECK(document["service"].getString() == "notes");
  CHECK(document["method"].getString() == "get");
  CHECK(JsonDocument::field(document["result"], "text").getString() == "milk");
  CHECK(f.notes("get").exit == Exit::OK);  // parameters that are not given have their defaults
  CHECK(f.notes("get --interface Notes").exit == Exit::OK);
}

TEST_CASE("a built-in schema needs no file") {
  Fixture f;
  for (auto options : {"", " --schema samgr"}) {
    auto result = f.doors.run(kj::str("bus rpc node-b samgr resolveStatus {\"name\":\"bundlemgrd\"}", options));
    CHECK(result.exit == Exit::OK);
    CHECK(contains(result.out, "\"status\": \"ok\""));
  }
}

TEST_CASE("a method that no rule names is exit 3 with the audit id, which the other node explains") {
  Fixture f;
  auto result = f.notes("list");
  CHECK(result.exit == Exit::DENIED);
  CHECK(result.out == "");
  CHECK(contains(result.err, "denied: no rule of node-b allows list of rpc:notes to node-a; audit id 2 at node-b"));
  CHECK(contains(result.err, "nexusctl policy explain --audit 2"));
  auto asJson = f.notes("list --json");
  JsonDocument document(asJson.out);
  CHECK(document["schema"].getString() == "nexus.error/1");
  CHECK(JsonDocument::field(document["error"], "kind").getString() == "denied");
  CHECK(JsonDocument::field(document["error"], "auditId").getNumber() == 4);

  SimDoors there(f.sim);
  there.put("/run/nexus/bus.sock", f.b->bus());
  auto method = there.run("policy explain --audit 2");
  CHECK(contains(method.out, "audit 2: denied  peer node-a  service rpc:notes  operation list"));
  CHECK(contains(method.out, "service = \"rpc:notes\"\noperations = [\"list\"]"));
  auto opening = there.run("policy explain --audit 1");
  INFO(opening.out.cStr());
  CHECK(opening.exit == Exit::OK);
  CHECK(contains(opening.out, "operation (open)"));
  CHECK(contains(opening.out, "ALLOW"));
}

TEST_CASE("a service that no rule names to this node is exit 3 with the audit id") {
  Fixture f;
  auto result = f.doors.run("bus rpc node-b bundlemgr list");
  CHECK(result.exit == Exit::DENIED);
  CHECK(contains(result.err, "lets this node call rpc:bundlemgr; audit id 1 there"));
  SimDoors there(f.sim);
  there.put("/run/nexus/bus.sock", f.b->bus());
  auto opening = there.run("policy explain --audit 1");
  INFO(opening.out.cStr());
  CHECK(contains(opening.out, "DENY"));
  CHECK(contains(opening.out, "rpc:bundlemgr"));
}

TEST_CASE("a method that can hold a capability, or is not there, is a usage error and nothing is sent") {
  Fixture f;
  auto result = f.notes("subscribe");
  CHECK(result.exit == Exit::USAGE);
  CHECK(contains(result.err, "cannot be called from another node: its parameters can hold a capability"));
  CHECK(contains(result.err, "put, get, list"));
  result = f.notes("burn");
  CHECK(result.exit == Exit::USAGE);
  CHECK(contains(result.err, "It has: put, get, list."));
  CHECK(f.doors.run("bus rpc node-b samgr osLite").exit == Exit::USAGE);
  CHECK(f.b->daemon().audit().lastId() == 0);
}

TEST_CASE("parameters that are no JSON, have an unknown field or a wrong type are a usage error with the fields") {
  Fixture f;
  for (auto json : {"{", "nonsense", "[]", "7", "{\"nam\":\"x\"}", "{\"name\":7}", "{\"name\":{}}", "{}{}"}) {
    CAPTURE(json);
    auto result = f.notes(kj::str("put ", json));
    CHECK(result.exit == Exit::USAGE);
    CHECK(contains(result.err, "Its fields: name, text."));
  }
  CHECK(f.notes(kj::str("get ", kj::repeat('[', 1000))).exit == Exit::USAGE);
  CHECK(f.b->daemon().audit().lastId() == 0);
}

TEST_CASE("a schema that is missing, wrong or not said is told before the bus is asked") {
  Fixture f;
  auto run = [&](kj::StringPtr words) { return f.doors.run(kj::str("bus rpc node-b ", words)); };
  CHECK(run("notes get").exit == Exit::USAGE);
  CHECK(contains(run("notes get").err, "--schema FILE"));
  CHECK(run("rpc:notes get").exit == Exit::USAGE);
  CHECK(run("notes get --schema nowhere.schema").exit == Exit::NOT_FOUND);
  auto text = run("notes get --schema daemons/dsoftbusd/schema-rpc/example/node-b.toml");
  CHECK(text.exit == Exit::BAD_CONFIG);
  CHECK(contains(text.err, "this is no compiled schema"));
  CHECK(run(kj::str("notes get --interface Other --schema ", SCHEMA)).exit == Exit::BAD_CONFIG);
  CHECK(f.b->daemon().audit().lastId() == 0);
}

TEST_CASE("a peer that is not there is exit 4, a service that is being restarted exit 1 with the audit id") {
  Fixture f;
  CHECK(f.doors.run("bus rpc node-z samgr resolveStatus").exit == Exit::NOT_FOUND);
  f.b->serveImport("notes", KJ_EXCEPTION(DISCONNECTED, "gone"));
  auto result = f.notes("get");
  INFO(result.err.cStr());
  CHECK(result.exit == Exit::OTHER);
  CHECK(contains(result.err, "audit id 2 at node-b"));
  CHECK(contains(result.err, "Try again later"));
}

TEST_CASE("a service that never answers is exit 6 after the time that the user gave") {
  class Silent final : public idl::Notes::Server {
    kj::Promise<void> get(GetContext) override { return kj::NEVER_DONE; }
  };
  Fixture f;
  f.b->serveImport("notes", idl::Notes::Client(kj::heap<Silent>()));
  f.a->session("node-b");
  CHECK(f.notes("get --timeout 700").exit == Exit::TIMED_OUT);
  auto late = f.notes("get --timeout 20000");
  CHECK(late.exit == Exit::OTHER);
  CHECK(contains(late.err, "did not answer in time; audit id"));
}

TEST_CASE("what a service answers steers no terminal") {
  class Hostile final : public idl::Notes::Server {
    kj::Promise<void> get(GetContext context) override {
      context.getResults().setText("\033[2J\x7f\xc2\x9b");
      return kj::READY_NOW;
    }
  };
  Fixture f;
  f.b->serveImport("notes", idl::Notes::Client(kj::heap<Hostile>()));
  for (auto options : {"get", "get --json"}) {
    auto result = f.notes(options);
    CHECK(result.exit == Exit::OK);
    CHECK(contains(result.out, "\"text\": \"?[2J???\""));
    for (char c : result.out) CHECK((c == '\n' || (c >= ' ' && c <= '~')));
  }
}

}  // namespace
}  // namespace nexus::ctl
