#include "tools/nexusctl/command-tree.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include "idl/status.capnp.h"
#include "libs/nexus-net-os/base/utc.h"
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

constexpr auto TOML_X = R"(
[dsoftbusd]
nodeName = "node-x"
allowTestIdentity = true
testIdentity = "node-x"
[[dsoftbusd.trust]]
name = "node-b"
testIdentity = "node-b"
)"_kj;

class SilentStatus final : public idl::Status::Server {
  kj::Promise<void> snapshot(SnapshotContext) override { return kj::NEVER_DONE; }
};

// Tells of itself in words that would steer a terminal.
class HostileStatus final : public idl::Status::Server {
  kj::Promise<void> snapshot(SnapshotContext context) override {
    auto status = context.getResults().initStatus();
    status.setHealth(idl::DaemonStatus::Health::DEGRADED);
    status.setDetail("\033[2Jcleared \xff");
    status.setUptimeMs(3600000 * 2 + 180000);
    auto counters = status.initCounters(1);
    counters[0].setName("link.rxFrames");
    counters[0].setValue(12345678901ull);
    return kj::READY_NOW;
  }
};

class FailingBus final : public idl::DSoftBus::Server {
 public:
  explicit FailingBus(kj::Exception::Type type) : type(type) {}
  kj::Promise<void> peers(PeersContext) override {
    return kj::Exception(type, "secret-source-file.c++", 42, kj::str("what it said"));
  }

 private:
  kj::Exception::Type type;
};

// Nodes a, b and x, of which b does not trust x; nexusctl runs on a.
struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  SimBusNode a{sim, node("node-a", 10), "node-a", TOML_A};
  SimBusNode b{sim, node("node-b", 11), "node-b", TOML_B};
  SimDoors doors{sim};

  Fixture() {
    doors.put("/run/nexus/bus.sock", a.bus());
    doors.put("/run/nexus/status-dsoftbusd.sock", a.daemon().newStatusClient());
  }

  SimNetwork& node(kj::StringPtr name, kj::byte host) {
    network.addNode(name, IpAddress::v4(10, 42, 0, host));
    return network;
  }
};

TEST_CASE("every command has help with an example, and answers --json with one JSON document") {
  Fixture f;
  // The examples of commands that make files make them in a folder of the test's.
  auto folder = kj::str(getenv("TEST_TMPDIR"), "/walk-XXXXXX");
  KJ_ASSERT(mkdtemp(folder.begin()) != nullptr && chdir(folder.cStr()) == 0);
  FixedEntropy entropy;
  size_t count = 0;
  for (auto& command : allCommands(entropy)) {
    CAPTURE(command->path().cStr());
    count++;
    auto help = f.doors.run(kj::str(command->path(), " --help"));
    CHECK(help.exit == Exit::OK);
    CHECK(contains(help.out, command->about().cStr()));
    CHECK(contains(help.out, kj::str("Example: nexusctl ", command->path()).cStr()));
    // With a bus and without one, before and after the command: always a document, and nothing beside it.
    SimDoors nowhere(f.sim);
    for (auto* doors : {&f.doors, &nowhere}) {
      for (auto& line : {kj::str(command->path(), ' ', command->example(), " --json"),
                         kj::str("--json ", command->path(), ' ', command->example()),
                         kj::str(command->path(), " --no-such-option --json")}) {
        auto result = doors->run(line);
        JsonDocument document(result.out);
        CHECK(kj::StringPtr(document["schema"].getString()).startsWith("nexus."));
        CHECK(result.err == "");
        bool failed = result.exit != Exit::OK && result.exit != Exit::OTHER;
        if (failed) CHECK(JsonDocument::field(document["error"], "exit").getNumber() == double(int(result.exit)));
      }
    }
    CHECK(f.doors.run(kj::str(command->path(), " --no-such-option")).exit == Exit::USAGE);
  }
  CHECK(count >= 11);
}

TEST_CASE("the root's help lists every group and the exit codes; a line without a command is a usage error") {
  Fixture f;
  auto help = f.doors.run("--help");
  CHECK(help.exit == Exit::OK);
  for (auto word : {"status", "bus", "audit", "policy", "5 daemon not running"}) CHECK(contains(help.out, word));
  struct Wrong {
    const char *line, *said, *help;
  };
  for (auto& wrong : {Wrong{"", "subcommand is required", "nexusctl --help"},
                      Wrong{"bus", "subcommand is required", "nexusctl bus --help"},
                      Wrong{"buss peers", "\"buss\" of nexusctl.", "nexusctl --help"},
                      Wrong{"--bogus", "no option \"--bogus\"", "nexusctl --help"},
                      Wrong{"bus pingg node-b", "\"pingg\" of nexusctl bus.", "nexusctl bus --help"},
                      Wrong{"bus peers node-b", "\"node-b\" of nexusctl bus peers.", "nexusctl bus peers --help"},
                      Wrong{"bus peers --countt 1", "\"--countt\"", "nexusctl bus peers --help"},
                      Wrong{"bus \x1b[2J", "\"?[2J\"", "nexusctl bus --help"},
                      Wrong{"status --timeout 0", "--timeout", "nexusctl status --help"},
                      Wrong{"bus ping node-b --count 0", "--count", "nexusctl bus ping --help"}}) {
    CAPTURE(wrong.line);
    auto result = f.doors.run(wrong.line);
    CAPTURE(result.err.cStr());
    CHECK(result.exit == Exit::USAGE);
    CHECK(result.out == "");
    CHECK(contains(result.err, wrong.said));
    CHECK(contains(result.err, wrong.help));
  }
}

TEST_CASE("status tells each daemon's health, also when others are silent or not running") {
  Fixture f;
  f.doors.put("/run/nexus/status-netstackd.sock", kj::heap<SilentStatus>());
  f.doors.put("/run/nexus/status-samgrd.sock", kj::heap<HostileStatus>());
  f.doors.close("/run/nexus/status-bundlemgrd.sock", Closed::FORBIDDEN);
  f.sim.advance(1 * kj::SECONDS);
  auto begin = f.sim.timer.now();
  auto result = f.doors.run("status --counters --timeout 700");
  CHECK(result.exit == Exit::OK);
  CHECK(f.sim.timer.now() - begin == 700 * kj::MILLISECONDS);
  CHECK(contains(result.out, "dsoftbusd   up"));
  CHECK(contains(result.out, "netstackd   timed-out"));
  CHECK(contains(result.out, "virtionetd  not-running"));
  CHECK(contains(result.out, "bundlemgrd  denied"));
  CHECK(contains(result.out, "samgrd      degraded     2h03m   ?[2Jcleared ?"));
  CHECK(contains(result.out, "samgrd link.rxFrames 12345678901\n"));

  auto json = f.doors.run("status --json");
  JsonDocument document(json.out);
  auto samgrd = document["daemons"].getArray()[2];
  CHECK(JsonDocument::field(samgrd, "daemon").getString() == "samgrd");
  CHECK(JsonDocument::field(JsonDocument::field(samgrd, "counters"), "link.rxFrames").getNumber() == 12345678901.0);
}

TEST_CASE("status of a node where nothing runs is exit 5") {
  SimClock sim;
  SimDoors doors(sim);
  auto result = doors.run("status");
  CHECK(result.exit == Exit::NOT_RUNNING);
  CHECK(contains(result.err, "dsoftbusd   not-running"));
}

TEST_CASE("bus peers shows the session with a trusted peer and says who is only heard") {
  Fixture f;
  SimBusNode x(f.sim, f.node("node-x", 66), "node-x", TOML_X);
  f.a.session("node-b");
  f.sim.advance(2 * kj::SECONDS);
  auto text = f.doors.run("bus peers");
  CHECK(text.exit == Exit::OK);
  CHECK(contains(text.out, "node-b"));
  CHECK(contains(text.out, "ready"));
  CHECK(contains(text.out, "10.42.0.11:34567"));
  CHECK(contains(text.out, "announces itself, but is not in the trust table"));
  auto json = f.doors.run("bus peers --json");
  JsonDocument document(json.out);
  auto peer = document["peers"].getArray()[0];
  CHECK(JsonDocument::field(peer, "deviceId").getString() == DeviceIdentity::forTest("node-b").deviceId());
  CHECK(JsonDocument::field(peer, "state").getString() == "ready");
}

TEST_CASE("bus ping measures the round trip, and says why it cannot") {
  Fixture f;
  auto pong = f.doors.run("bus ping node-b --count 3 --json");
  REQUIRE(pong.exit == Exit::OK);
  CHECK(JsonDocument(pong.out)["roundTripUs"].getArray().size() == 3);
  CHECK(JsonDocument(pong.out)["roundTripUs"].getArray()[0].getNumber() == 2000);

  auto unknown = f.doors.run("bus ping node-q");
  CHECK(unknown.exit == Exit::NOT_FOUND);
  CHECK(contains(unknown.err, "There is no peer \"node-q\"."));

  SimBusNode x(f.sim, f.node("node-x", 66), "node-x", TOML_X);
  f.sim.advance(2 * kj::SECONDS);
  auto stranger = f.doors.run(kj::str("bus ping ", DeviceIdentity::forTest("node-x").deviceId()));
  CHECK(stranger.exit == Exit::DENIED);

  f.b.stop();
  f.sim.advance(30 * kj::SECONDS);
  auto begin = f.sim.timer.now();
  auto gone = f.doors.run("bus ping node-b --timeout 1500");
  CHECK(gone.exit == Exit::TIMED_OUT);
  CHECK(f.sim.timer.now() - begin == 1500 * kj::MILLISECONDS);
}

TEST_CASE("audit tail lists decisions of this node above an id") {
  Fixture f;
  f.doors.put("/b.sock", f.b.bus());
  CHECK(contains(f.doors.run("audit tail --bus /b.sock").out, "no records after 0"));
  for (int i = 0; i < 3; i++) f.a.call("node-b", "vaultd", "x"_kj.asBytes());
  auto all = f.doors.run("audit tail --bus /b.sock");
  CHECK(all.exit == Exit::OK);
  CHECK(contains(all.out, "denied"));
  CHECK(contains(all.out, "vaultd"));
  JsonDocument document(f.doors.run("audit tail --bus /b.sock --after 2 --json").out);
  REQUIRE(document["records"].getArray().size() == 1);
  CHECK(JsonDocument::field(document["records"].getArray()[0], "id").getNumber() == 3);
  CHECK(document["dropped"].getNumber() == 0);
}

TEST_CASE("audit tail tells when a record was made as the audit file does: UTC, by the clock of that node") {
  Fixture f;
  f.doors.put("/b.sock", f.b.bus());
  f.a.session("node-b");
  f.sim.advance(2 * kj::SECONDS);
  f.sim.calendar.set(KJ_ASSERT_NONNULL(tryParseUtc("2027-02-28T23:59:58Z")));
  f.sim.advance(1 * kj::SECONDS);
  f.a.call("node-b", "vaultd", "x"_kj.asBytes());
  auto made = "2027-02-28T23:59:59.001Z";  // the wire takes a millisecond each way
  CHECK(contains(f.doors.run("audit tail --bus /b.sock").out, made));
  JsonDocument document(f.doors.run("audit tail --bus /b.sock --json").out);
  auto record = document["records"].getArray()[0];
  CHECK(JsonDocument::field(record, "time").getString() == made);
  CHECK(JsonDocument::field(record, "timeMs").getNumber() < 60000);  // since dsoftbusd was started
}

TEST_CASE("each way of not being answered has its exit code and one sentence without a source file") {
  SimClock sim;
  SimDoors doors(sim);
  auto check = [&](const char* line, Exit exit, const char* sentence) {
    auto result = doors.run(line);
    CAPTURE(result.err.cStr());
    CHECK(result.exit == exit);
    CHECK(contains(result.err, sentence));
    CHECK_FALSE(contains(result.err, "secret-source-file"));
  };
  using Type = kj::Exception::Type;
  doors.put("/lost", kj::heap<FailingBus>(Type::DISCONNECTED));
  doors.put("/old", kj::heap<FailingBus>(Type::UNIMPLEMENTED));
  doors.put("/full", kj::heap<FailingBus>(Type::OVERLOADED));
  doors.put("/bug", kj::heap<FailingBus>(Type::FAILED));
  doors.close("/dead", Closed::NOT_RUNNING);
  doors.close("/theirs", Closed::FORBIDDEN);
  doors.close("/busy", Closed::BUSY);
  check("bus peers", Exit::NOT_RUNNING, "dsoftbusd is not running (no socket at /run/nexus/bus.sock).");
  check("bus peers --run /else", Exit::NOT_RUNNING, "/else/bus.sock");
  check("policy reload --run /else", Exit::NOT_RUNNING, "--export bus-admin=unix:/else/bus-admin.sock");
  check("bus trusted --run /else", Exit::NOT_RUNNING, "--export bus-trust=unix:/else/bus-trust.sock");
  check("bus peers --bus /dead", Exit::NOT_RUNNING, "nobody listens at /dead");
  check("bus peers --bus /lost", Exit::NOT_RUNNING, "what it said");
  check("bus peers --bus /theirs", Exit::DENIED, "may not connect to /theirs");
  check("bus peers --bus /busy", Exit::TIMED_OUT, "/busy");
  check("bus peers --bus /old", Exit::UNSUPPORTED, "does not support");
  check("bus peers --bus /full", Exit::OTHER, "what it said");
  check("bus peers --bus /bug", Exit::OTHER, "what it said");
}

}  // namespace
}  // namespace nexus::ctl
