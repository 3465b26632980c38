// The daemon as a process, in its sandbox, on a network that this test serves: its file is replaced, and the other
// node's calls are answered accordingly; what was decided and changed is in the audit file.
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "daemons/dsoftbusd/bus-markers.h"
#include "daemons/dsoftbusd/dsoftbusd.h"
#include "libs/nexus-net-os/daemon/config-loader.h"
#include "libs/nexus-net-os/rpc/cap-transport.h"
#include "libs/nexus-net-os/testing/daemon-process.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/testing/temporary-folder.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "tests/sim/sim-network.h"

namespace nexus {
namespace {

using Outcome = idl::BusAdmin::Outcome;

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
auditFile = "FOLDER/audit"
[[dsoftbusd.trust]]
name = "node-a"
testIdentity = "node-a"
)"_kj;

constexpr auto LIST_RULE =
    "[[dsoftbusd.policy]]\npeer = \"node-a\"\nservice = \"bundlemgrd\"\noperations = [\"list\"]\n"_kj;

class Bundlemgr final : public idl::Bundlemgr::Server {
  kj::Promise<void> osLite(OsLiteContext context) override {
    context.getResults().setReply(bn::encodeListReply(3));
    return kj::READY_NOW;
  }
};
class Samgr final : public idl::Samgr::Server {};

class Stack final : public NetworkSource {
 public:
  Stack(SimNetwork& network, kj::StringPtr node) : network(network), node(kj::str(node)) {}
  idl::NetworkManager::Client get() override { return network.manager(node); }
  kj::Promise<void> whenLost() override { return kj::NEVER_DONE; }

 private:
  SimNetwork& network;
  kj::String node;
};

// As an editor does: a new file in the place of the old one. Where the audit file is, is filled in.
void replaceConfig(const TemporaryFolder& folder, kj::StringPtr text) {
  std::string filled = text.cStr();
  auto at = filled.find("FOLDER");
  if (at != std::string::npos) filled.replace(at, 6, folder.path().cStr());
  KJ_SYSCALL(rename(folder.write("new", filled.c_str()).cStr(), folder.file("b.toml").cStr()));
}

class Machines {
 public:
  TemporaryFolder folder{TemporaryFolder::For::SOCKETS};

  Machines() {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    serve("net", [this]() -> capnp::Capability::Client { return network.manager("node-b"); });
    serve("samgr", []() -> capnp::Capability::Client { return kj::heap<Samgr>(); });
    serve("bundlemgr", []() -> capnp::Capability::Client { return kj::heap<Bundlemgr>(); });
    replaceConfig(folder, TOML_B);
    auto config = folder.file("b.toml");
    auto net = import("net"), samgr = import("samgr"), bundlemgr = import("bundlemgr");
    kj::StringPtr exports[] = {"bus"_kj, "bus-admin"_kj};
    kj::StringPtr args[] = {"--config"_kj, config, "--import"_kj, net, "--import"_kj, samgr, "--import"_kj, bundlemgr};
    process = kj::heap<DaemonProcess>("daemons/dsoftbusd/dsoftbusd", exports, args);
    process->waitForLine("dsoftbusd: ready");
    startCaller();
  }
  ~Machines() {
    running = nullptr;
    caller = nullptr;
    connections.clear();
  }

  DaemonProcess& daemon() { return *process; }

  template <typename Interface>
  typename Interface::Client connect(kj::StringPtr name) {
    auto path = kj::str("unix:", process->socketPath(name));
    auto address = io.provider->getNetwork().parseAddress(path).wait(io.waitScope);
    auto stream = address->connect().wait(io.waitScope).downcast<kj::AsyncCapabilityStream>();
    return connections.add(kj::heap<CapConnection>(kj::mv(stream)))->bootstrap().template castAs<Interface>();
  }

  // Node a asks node b for its bundles.
  CallStatus list() {
    auto bus = caller->newBusClient();
    auto request = bus.sessionRequest();
    request.setPeer("node-b");
    auto session = request.send().wait(io.waitScope);
    REQUIRE(session.getOutcome() == idl::DSoftBus::Outcome::OK);
    auto call = session.getSession().callRequest();
    call.setService("bundlemgrd");
    call.setFrame(bn::encodeList());
    return call.send().wait(io.waitScope).getStatus();
  }

  // Asks until the last change of node b's configuration is another one than number `known`; its text and its number.
  kj::String nextChange(idl::DSoftBus::Client bus, uint64_t& known) {
    for (;;) {
      auto response = bus.auditRequest().send().wait(io.waitScope);
      for (auto record : response.getRecords()) {
        if (record.getChange().size() == 0 || record.getId() <= known) continue;
        known = record.getId();
        return kj::str(record.getChange());
      }
    }
  }

  kj::AsyncIoContext io = kj::setupAsyncIo();

 private:
  SimNetwork network{io.provider->getTimer()};
  FixedEntropy entropy;
  BusMarkers markers{[](const Marker&, kj::StringPtr) {}};
  Stack stack{network, "node-a"};
  kj::Vector<kj::Own<CapServer>> servers;
  kj::Vector<kj::Promise<void>> serving;
  kj::Own<DaemonProcess> process;
  kj::Vector<kj::Own<CapConnection>> connections;
  kj::Own<Dsoftbusd> caller;
  kj::Promise<void> running = nullptr;

  kj::String import(kj::StringPtr name) const { return kj::str(name, "=unix:", folder.file(name)); }

  void serve(kj::StringPtr name, kj::Function<capnp::Capability::Client()> make) {
    auto path = kj::str("unix:", folder.file(name));
    auto address = io.provider->getNetwork().parseAddress(path).wait(io.waitScope);
    auto& server =
        servers.add(kj::heap<CapServer>([make = kj::mv(make)](const PeerCredentials&) mutable { return make(); }));
    serving.add(server->listenLoop(address->listen()).eagerlyEvaluate(nullptr));
  }

  void startCaller() {
    capnp::MallocMessageBuilder message;
    auto schema = capnp::Schema::from<config::Dsoftbusd>();
    KJ_ASSERT(loadConfig("a.toml", TOML_A, "dsoftbusd", schema, message) == nullptr);
    auto settings = checkSettings(
        message.getRoot<config::Dsoftbusd>().asReader(),
        [](kj::StringPtr) { return SettingsError{kj::str("no files here")}; },
        LoadTime{kj::UNIX_EPOCH, kj::origin<kj::TimePoint>()});
    Dsoftbusd::Imports imports{kj::arr<NetworkSource*>(&stack),
                               []() -> idl::Samgr::Client { return kj::heap<Samgr>(); },
                               []() -> idl::Bundlemgr::Client { return kj::heap<Bundlemgr>(); }};
    caller = kj::heap<Dsoftbusd>(kj::mv(settings.get<BusSettings>()), kj::mv(imports), io.provider->getTimer(),
                                 kj::systemPreciseCalendarClock(), entropy, markers, markers);
    running = caller->run().eagerlyEvaluate(nullptr);
  }
};

TEST_CASE("a running dsoftbusd in its sandbox takes a good file, refuses a bad one whole, and audits both") {
  Machines m;
  CHECK(m.list() == CallStatus::DENIED);
  auto admin = m.connect<idl::BusAdmin>("bus-admin");
  auto bus = m.connect<idl::DSoftBus>("bus");
  uint64_t known = 0;

  // Through the capability, which tells the result.
  replaceConfig(m.folder, kj::str(TOML_B, LIST_RULE));
  auto applied = admin.reloadRequest().send().wait(m.io.waitScope);
  CHECK(applied.getResult().getOutcome() == Outcome::APPLIED);
  CHECK(applied.getResult().getGeneration() == 2);
  CHECK(m.list() == CallStatus::OK);
  CHECK(m.nextChange(bus, known) == "reload changed: policy; policy 2");

  // By signal, which leaves a record.
  replaceConfig(m.folder, kj::str(TOML_B, "[[dsoftbusd.policy]]\npeer = \"node-z\"\n"));
  m.daemon().signal(SIGHUP);
  CHECK(m.nextChange(bus, known).startsWith("reload refused: dsoftbusd configuration: a policy rule names the peer"));
  CHECK(m.list() == CallStatus::OK);
  std::filesystem::remove(m.folder.file("b.toml").cStr());
  auto gone = admin.reloadRequest().send().wait(m.io.waitScope);
  CHECK(gone.getResult().getOutcome() == Outcome::REFUSED);
  CHECK(m.nextChange(bus, known).endsWith("No such file or directory"));
  replaceConfig(m.folder, TOML_B);
  m.daemon().signal(SIGHUP);
  CHECK(m.nextChange(bus, known) == "reload changed: policy; policy 3");
  CHECK(m.list() == CallStatus::DENIED);

  auto boot = kj::str(bus.auditRequest().send().wait(m.io.waitScope).getBoot());
  m.daemon().terminate();
  CHECK(m.daemon().wait() == 0);
  std::ifstream file(m.folder.file("audit").cStr());
  std::stringstream all;
  all << file.rdbuf();
  auto text = all.str();
  for (auto part :
       {"\"event\":\"start\",\"node\":\"node-b\"", "\"operation\":\"list\",\"verdict\":\"denied\"",
        "\"operation\":\"list\",\"verdict\":\"ok\",\"bytes\":4,\"policy\":2", "reload changed: policy; policy 3",
        "\"verdict\":\"denied\",\"policy\":2,\"change\":\"reload refused"}) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
  CHECK(boot.size() == 16);
  CHECK(text.find(boot.cStr()) != std::string::npos);
  struct stat status;
  KJ_SYSCALL(stat(m.folder.file("audit").cStr(), &status));
  CHECK((status.st_mode & 0777) == 0600);
}

}  // namespace
}  // namespace nexus
