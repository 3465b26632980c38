// The commands that try the services of a peer, in this process: through the dsoftbusd of one node in memory and the
// proxy of another to the real samgrd, bundlemgrd, packagefsd and statefsd over folders on disk.
#include <doctest/doctest.h>
#include <kj/encoding.h>

#include "daemons/bundlemgrd/bundlemgrd.h"
#include "daemons/packagefsd/packagefsd.h"
#include "daemons/samgrd/samgrd.h"
#include "daemons/statefsd/statefsd.h"
#include "libs/nexus-net-os/testing/temporary-folder.h"
#include "libs/nexus-net-os/testing/temporary-store.h"
#include "tests/sim/sim-bus-node.h"
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
[[dsoftbusd.policy]]
peer = "node-b"
service = "stream:app/answer"
operations = ["open"]
)"_kj;

constexpr auto TOML_B = R"(
[dsoftbusd]
nodeName = "node-b"
allowTestIdentity = true
testIdentity = "node-b"
[[dsoftbusd.trust]]
name = "node-a"
testIdentity = "node-a"
)"_kj;

constexpr auto RULES = R"(
[[dsoftbusd.policy]]
peer = "node-a"
service = "samgrd"
operations = ["resolve-status"]
[[dsoftbusd.policy]]
peer = "node-a"
service = "bundlemgrd"
operations = ["list", "query"]
[[dsoftbusd.policy]]
peer = "node-a"
service = "packagefsd"
operations = ["stat", "open", "read", "close"]
[[dsoftbusd.policy]]
peer = "node-a"
service = "statefsd"
operations = ["put", "get", "del", "list"]
[[dsoftbusd.policy]]
peer = "node-a"
service = "stream:app/sync"
operations = ["open"]
)"_kj;

struct Services {
  TemporaryStore store;
  TemporaryFolder folder;
  Samgrd samgrd;
  Bundlemgrd bundlemgrd;
  Packagefsd packagefsd;
  Statefsd statefsd;

  explicit Services(kj::Timer& timer)
      : samgrd(timer),
        bundlemgrd(BundleStore(store.root.c_str()), timer),
        packagefsd(PackageFiles(store.root.c_str()), timer),
        statefsd(StateStore(folder.root.c_str()), timer) {
    samgrd.registerAtStart("bundlemgrd");
    store.write("hello/1.0.0/text", "Hello.\n");
    store.write("hello/1.2.0/text", "Hello, again.\n");
    store.write("hello/1.2.0/raw", "\x1b[2J");
    store.writeZeros("hello/1.2.0/large", 16384);
  }

  SimServices clients() {
    return {samgrd.connect("dsoftbusd", PeerCredentials{}), bundlemgrd.connect(), packagefsd.connect(),
            statefsd.connect()};
  }
};

// nexusctl runs on node a, and asks node b.
struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  Services services{sim.timer};
  SimDoors doors{sim};
  kj::Own<SimBusNode> a, b;

  explicit Fixture(kj::StringPtr rules = RULES) {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<SimBusNode>(sim, network, "node-a", TOML_A);
    b = kj::heap<SimBusNode>(sim, network, "node-b", kj::str(TOML_B, rules), services.clients());
    doors.put("/run/nexus/bus.sock", a->bus());
    doors.put("/b.sock", b->bus());
  }

  Result run(kj::StringPtr line) { return doors.run(line); }
  kj::String ok(kj::StringPtr line) {
    auto result = run(line);
    CAPTURE(line.cStr());
    CAPTURE(result.err.cStr());
    CHECK(result.exit == Exit::OK);
    return kj::mv(result.out);
  }
};

TEST_CASE("every question that no rule allows is exit 3, with the id of the record there and how to ask why") {
  Fixture f("");
  struct Question {
    const char *line, *said;
  };
  uint64_t id = 0;
  for (auto& question :
       {Question{"bus resolve node-b bundlemgrd", "does not let this node call resolve-status of samgrd."},
        Question{"bus list node-b", "call list of bundlemgrd."},
        Question{"bus query node-b hello", "query of bundlemgrd."},
        Question{"bus read node-b hello/1.0.0 text", "stat of packagefsd."},
        Question{"bus state get node-b k", "get of statefsd."},
        Question{"bus state put node-b k v", "put of statefsd."},
        Question{"bus state list node-b", "list of statefsd."},
        Question{"bus state delete node-b k", "del of statefsd."}}) {
    CAPTURE(question.line);
    auto text = f.run(question.line);
    id++;
    CHECK(text.exit == Exit::DENIED);
    CHECK(text.out == "");
    CHECK(contains(text.err, question.said));
    CHECK(contains(text.err, kj::str("There, see why: nexusctl policy explain --audit ", id, ".").cStr()));
    auto json = f.run(kj::str(question.line, " --json"));
    id++;
    CHECK(JsonDocument::field(JsonDocument(json.out)["error"], "auditId").getNumber() == double(id));
    // And there it is explained, with the lines that would allow it.
    CHECK(contains(f.ok(kj::str("policy explain --bus /b.sock --audit ", id)), "[[dsoftbusd.policy]]"));
  }
}

TEST_CASE("a service that the peer does not have is exit 1 with the id; the peer says why") {
  SimClock sim;
  SimNetwork network(sim.timer);
  network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
  network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
  SimBusNode a(sim, network, "node-a", TOML_A), b(sim, network, "node-b", kj::str(TOML_B, RULES));
  SimDoors doors(sim);
  doors.put("/run/nexus/bus.sock", a.bus());
  doors.put("/b.sock", b.bus());
  auto absent = doors.run("bus state get node-b k");
  CHECK(absent.exit == Exit::OTHER);
  CHECK(contains(absent.err, "statefsd there failed or is not there"));
  CHECK(contains(absent.err, "policy explain --audit 1."));
  CHECK(contains(doors.run("policy explain --bus /b.sock --audit 1").out, "ALLOW  failed-later"));
}

TEST_CASE("resolve, list and query tell what the services of the peer answered") {
  Fixture f;
  CHECK(f.ok("bus resolve node-b bundlemgrd") == "bundlemgrd is registered at node-b\n");
  CHECK(JsonDocument(f.ok("bus resolve node-b bundlemgrd --json"))["registered"].getBoolean());
  auto none = f.run("bus resolve node-b vaultd");
  CHECK(none.exit == Exit::NOT_FOUND);
  CHECK(contains(none.err, "No \"vaultd\" is registered at \"node-b\"."));

  CHECK(f.ok("bus list node-b") == "node-b: 3 bundles\n");
  CHECK(JsonDocument(f.ok("bus list node-b --json"))["bundles"].getNumber() == 3);

  CHECK(f.ok("bus query node-b system") == "system 1.0.0\n");
  CHECK(f.ok("bus query node-b hello") == "hello 1.2.0, the last of 2 versions\n");
  JsonDocument json(f.ok("bus query node-b hello --json"));
  CHECK(json["version"].getString() == "1.2.0");
  CHECK(json["installed"].getNumber() == 2);
  CHECK(f.run("bus query node-b goodbye").exit == Exit::NOT_FOUND);
  CHECK(f.run(kj::str("bus query node-b ", kj::repeat('x', 49))).exit == Exit::USAGE);
  CHECK(f.run("bus list node-q").exit == Exit::NOT_FOUND);
}

TEST_CASE("read prints a text, and writes any file as it is") {
  Fixture f;
  CHECK(f.ok("bus read node-b hello/1.0.0 text") == "Hello.\n");
  JsonDocument json(f.ok("bus read node-b hello/1.2.0 raw --json"));
  CHECK(json["base64"].getString() == kj::encodeBase64("\x1b[2J"_kj.asBytes()));
  auto raw = f.ok("bus read node-b hello/1.2.0 raw");
  CHECK_FALSE(contains(raw, "\x1b"));
  CHECK(contains(raw, "4 bytes that are not plain text"));
  TemporaryFolder files;
  auto out = files.file("raw");
  CHECK(contains(f.ok(kj::str("bus read node-b hello/1.2.0 raw --out ", out)), "4 bytes"));
  CHECK(files.text("raw") == "\x1b[2J");

  auto missing = f.run("bus read node-b hello/1.0.0 nothing");
  CHECK(missing.exit == Exit::NOT_FOUND);
  CHECK(contains(missing.err, "\"node-b\" has no file \"pkg:/hello/1.0.0/nothing\"."));
  CHECK(contains(f.run("bus read node-b hello 1.0.0").err, "is a folder"));
  auto climbing = f.run("bus read node-b hello ../../secret");
  CHECK(climbing.exit == Exit::USAGE);
  CHECK(contains(climbing.err, "is no path of a file in a package"));
  CHECK(f.run(kj::str("bus read node-b hello ", kj::repeat('x', 200))).exit == Exit::USAGE);
}

TEST_CASE("the largest file is read to its end, more slowly than the peer's rate allows calls") {
  Fixture f;
  JsonDocument json(f.ok("bus read node-b hello/1.2.0 large --json"));
  CHECK(json["bytes"].getNumber() == 16384);
  // 131 calls, of which the peer takes a hundred at once.
  CHECK(f.b->daemon().audit().lastId() > 100);
}

TEST_CASE("a read closes what it opened, also when its time is over") {
  Fixture f;
  for (int i = 0; i < 10; i++) CHECK(f.ok("bus read node-b hello/1.0.0 text") == "Hello.\n");
  f.sim.advance(5 * kj::SECONDS);
  for (int i = 0; i < 10; i++) {
    auto late = f.run("bus read node-b hello/1.2.0 large --timeout 60");
    CHECK(late.exit == Exit::TIMED_OUT);
    f.sim.advance(5 * kj::SECONDS);  // the rate recovers
  }
  CHECK(f.ok("bus read node-b hello/1.0.0 text") == "Hello.\n");
}

TEST_CASE("a value is stored, told, listed and deleted, by its short name and by its whole one") {
  Fixture f;
  CHECK(f.run("bus state get node-b greeting").exit == Exit::NOT_FOUND);
  CHECK(f.ok("bus state put node-b greeting hello") == "/state/shared/greeting: 5 bytes stored\n");
  CHECK(f.ok("bus state get node-b greeting") == "hello\n");
  CHECK(f.ok("bus state get node-b /state/shared/greeting") == "hello\n");
  JsonDocument json(f.ok("bus state get node-b greeting --json"));
  CHECK(json["key"].getString() == "/state/shared/greeting");
  CHECK(json["text"].getString() == "hello");
  f.ok("bus state put node-b app/one 1");
  f.ok("bus state put node-b app/two 2");
  CHECK(f.ok("bus state list node-b") == "/state/shared/app/one\n/state/shared/app/two\n/state/shared/greeting\n");
  CHECK(f.ok("bus state list node-b app/") == "/state/shared/app/one\n/state/shared/app/two\n");
  CHECK(contains(f.ok("bus state list node-b app/ --limit 1"), "there may be more"));
  CHECK(f.ok("bus state list node-b nothing") == "no keys below /state/shared/nothing\n");
  CHECK(f.ok("bus state delete node-b greeting") == "/state/shared/greeting: deleted\n");
  CHECK(f.run("bus state delete node-b greeting").exit == Exit::NOT_FOUND);
}

TEST_CASE("what other nodes may not ask of the state is refused in words, at its bounds") {
  Fixture f;
  auto outside = f.run("bus state get node-b /state/private/key");
  CHECK(outside.exit == Exit::DENIED);
  CHECK(contains(outside.err, "only what is below /state/shared/"));
  CHECK(contains(outside.err, "policy explain --audit 1."));
  CHECK(contains(f.ok("policy explain --bus /b.sock --audit 1"), "not with these arguments"));
  CHECK(f.run("bus state get node-b a/../b").exit == Exit::USAGE);
  CHECK(f.run(kj::str("bus state put node-b k ", kj::repeat('v', 128))).exit == Exit::OK);
  CHECK(f.run(kj::str("bus state put node-b k ", kj::repeat('v', 129))).exit == Exit::USAGE);
  CHECK(f.run(kj::str("bus state put node-b ", kj::repeat('k', 82), " v")).exit == Exit::OK);
  CHECK(f.run(kj::str("bus state put node-b ", kj::repeat('k', 83), " v")).exit == Exit::USAGE);
  CHECK(f.run("bus state put node-b k").exit == Exit::USAGE);
  CHECK(f.run("bus state put node-b k --file /nonexistent/value").exit == Exit::NOT_FOUND);
  CHECK(f.run("bus state list node-b --limit 65").exit == Exit::USAGE);
}

TEST_CASE("a list that the peer had to cut says that there may be more") {
  Fixture f;
  for (int i = 0; i < 9; i++) f.ok(kj::str("bus state put node-b ", kj::repeat('k', 80), i, " v"));
  auto cut = f.ok("bus state list node-b --json");
  JsonDocument json(cut);
  CHECK(json["keys"].getArray().size() < 9);
  CHECK(json["maybeMore"].getBoolean());
}

TEST_CASE("streams shows what each end has open, with whom and what waits") {
  Fixture f;
  CHECK(f.run("bus streams").exit == Exit::USAGE);
  CHECK(f.run("bus streams node-q").exit == Exit::NOT_FOUND);
  CHECK(f.ok("bus streams --all") == "no open streams\n");
  auto early = f.run("bus streams node-b");
  CHECK(early.exit == Exit::NOT_FOUND);
  CHECK(contains(early.err, "There is no session with \"node-b\" at the moment."));

  auto session = f.a->session("node-b");
  CHECK(f.ok("bus streams node-b") == "no open streams\n");
  auto there = f.b->session("node-a");
  auto accepting = there.acceptStreamRequest().send();
  auto request = session.openStreamRequest();
  request.setName("app/sync");
  request.setPriority(2);
  auto opened = f.sim.run(request.send());
  REQUIRE(opened.getOutcome() == idl::PeerSession::StreamOutcome::OK);
  auto accepted = f.sim.run(kj::mv(accepting));
  auto write = opened.getStream().writeRequest();
  write.setData("12345"_kj.asBytes());
  f.sim.run(write.send().ignoreResult());
  f.sim.advance(1 * kj::SECONDS);

  auto text = f.ok("bus streams node-b");
  CHECK(contains(text, "PEER    ID  NAME      PRIO  OPENED  STATE  SENT"));
  CHECK(contains(text, "app/sync  2     here    open   5"));
  JsonDocument here(f.ok("bus streams --all --json")), far(f.ok("bus streams node-a --json --bus /b.sock"));
  auto one = here["streams"].getArray()[0], other = far["streams"].getArray()[0];
  CHECK(JsonDocument::field(one, "peer").getString() == "node-b");
  CHECK(JsonDocument::field(one, "sent").getNumber() == 5);
  CHECK(JsonDocument::field(one, "sendCredit").getNumber() == 65536 - 5);
  CHECK(JsonDocument::field(other, "peer").getString() == "node-a");
  CHECK(JsonDocument::field(other, "id").getNumber() == JsonDocument::field(one, "id").getNumber());
  CHECK_FALSE(JsonDocument::field(other, "openedHere").getBoolean());
  CHECK(JsonDocument::field(other, "received").getNumber() == 5);
  CHECK(JsonDocument::field(other, "receiveWaiting").getNumber() == 5);
}

}  // namespace
}  // namespace nexus::ctl
