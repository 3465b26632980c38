// Calls of a service of one's own between two running nodes, every daemon in a process of its own: the example service
// behind the one, a C++ program and nexusctl at the other.
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <signal.h>
#include <stdlib.h>

#include <initializer_list>
#include <string>

#include "daemons/dsoftbusd/schema-rpc/example/notes-client.h"
#include "tests/interop/live-client.h"

namespace nexus::interop {
namespace {

using Kind = kj::Exception::Type;

constexpr auto ADDRESS_A = "127.0.0.1"_kj, ADDRESS_B = "127.0.0.2"_kj;
constexpr auto SCHEMA = "daemons/dsoftbusd/schema-rpc/example/notes.schema"_kj;

kj::String trusting(kj::StringPtr peer, kj::StringPtr address) {
  return kj::str("unicastPeers = [\"", address, "\"]\n[[dsoftbusd.trust]]\nname = \"", peer, "\"\ntestIdentity = \"",
                 peer, "\"\n");
}

kj::String offering() {
  return kj::str("[[dsoftbusd.offers]]\nname = \"notes\"\nschema = \"", SCHEMA,
                 "\"\n[[dsoftbusd.policy]]\npeer = \"node-a\"\nservice = \"rpc:notes\"\noperations = [\"put\", "
                 "\"get\"]\n");
}

struct Said {
  int exit;
  std::string text;  // both outputs

  bool has(const char* part) const { return text.find(part) != std::string::npos; }
};

struct Failure {
  Kind kind;
  kj::String text;

  // 0: the text names none.
  uint64_t auditId() const {
    auto at = std::string(text.cStr()).rfind("audit id ");
    return at == std::string::npos ? 0 : strtoull(text.cStr() + at + 9, nullptr, 10);
  }
};

// node-b has notes, which node-a may put and get, but not list.
class TwoNodes : public LiveClient {
 public:
  DaemonProcess notesd{"daemons/dsoftbusd/schema-rpc/example/notesd", kj::arr("notes"_kj).asPtr(), nullptr};

 private:
  uint16_t port = freePort(), discoveryPort = freePort();
  kj::String import = kj::str("notes=unix:", notesd.socketPath("notes"));

 public:
  LiveNode a{"node-a", ADDRESS_A, port, discoveryPort, trusting("node-b", ADDRESS_B)};
  LiveNode b{"node-b",
             ADDRESS_B,
             port,
             discoveryPort,
             kj::str(trusting("node-a", ADDRESS_A), offering()),
             kj::arr<kj::StringPtr>(import).asPtr()};

  // nexusctl as a process, at that node's socket.
  Said ctl(LiveNode& node, std::initializer_list<kj::StringPtr> words) {
    auto bus = node.dsoftbusd().socketPath("bus");
    kj::Vector<kj::StringPtr> arguments;
    for (auto word : words) arguments.add(word);
    arguments.add("--bus"_kj), arguments.add(bus);
    DaemonProcess process("tools/nexusctl/nexusctl", nullptr, arguments.asPtr());
    int exit = process.wait();
    return {exit, process.output()};
  }

  kj::String get(idl::Notes::Client notes, kj::StringPtr name) {
    return wait(runNotesCommand(kj::mv(notes), kj::arr(kj::str("get"), kj::str(name))));
  }

  template <typename T>
  Failure failureOf(kj::Promise<T> promise) {
    return wait(promise.then([](T&&) -> Failure { KJ_FAIL_REQUIRE("it did not fail"); },
                             [](kj::Exception&& e) -> Failure { return {e.getType(), kj::str(e.getDescription())}; }));
  }
};

TEST_CASE("a service of one's own on one live node is called from another: allowed, denied and explained, restarted") {
  TwoNodes nodes;
  auto bus = nodes.connect<idl::DSoftBus>(nodes.a, "bus");
  auto notes = nodes.wait(notesOf(bus, kj::str("node-b")));

  // What a program puts, nexusctl gets, and the other way round.
  auto put = notes.putRequest();
  put.setName("shopping");
  put.setText("milk");
  CHECK(nodes.wait(put.send()).getOutcome() == idl::Notes::Outcome::OK);
  auto got =
      nodes.ctl(nodes.a, {"bus", "rpc", "node-b", "notes", "get", "{\"name\":\"shopping\"}", "--schema", SCHEMA});
  INFO(got.text);
  CHECK(got.exit == 0);
  CHECK(got.has("\"text\": \"milk\""));
  CHECK(
      nodes
          .ctl(nodes.a, {"bus", "rpc", "node-b", "notes", "put", "{\"name\":\"x\",\"text\":\"y\"}", "--schema", SCHEMA})
          .exit == 0);
  CHECK(nodes.get(notes, "x") == "y");

  // Denied to both, with the number of a record that the other node explains.
  auto denied = nodes.failureOf(notes.listRequest().send().dropPipeline());
  CHECK(denied.kind == Kind::FAILED);
  INFO(denied.text.cStr());
  REQUIRE(denied.auditId() > 0);
  auto explained = nodes.ctl(nodes.b, {"policy", "explain", "--audit", kj::str(denied.auditId())});
  INFO(explained.text);
  CHECK(explained.has("denied  peer node-a  service rpc:notes  operation list"));
  CHECK(explained.has("operations = [\"list\"]"));
  auto alsoDenied = nodes.ctl(nodes.a, {"bus", "rpc", "node-b", "notes", "list", "--schema", SCHEMA});
  INFO(alsoDenied.text);
  CHECK(alsoDenied.exit == 3);
  CHECK(alsoDenied.has("denied: no rule of node-b allows list of rpc:notes to node-a; audit id "));

  // The service is killed and started again; the session and the reference live on.
  nodes.notesd.signal(SIGKILL);
  CHECK(nodes.notesd.wait() == 128 + SIGKILL);
  auto gone = nodes.failureOf(notes.listRequest().send().dropPipeline());
  CHECK(gone.kind == Kind::FAILED);  // the policy is asked before the service
  auto get = notes.getRequest();
  get.setName("shopping");
  auto away = nodes.failureOf(get.send().dropPipeline());
  INFO(away.text.cStr());
  CHECK(away.kind == Kind::DISCONNECTED);
  CHECK(nodes.ctl(nodes.b, {"policy", "explain", "--audit", kj::str(away.auditId())}).has("backend-failed"));
  nodes.notesd.startAgain();
  CHECK(nodes.get(notes, "shopping") == "notFound");  // notes are kept in memory
  CHECK(nodes.wait(bus.peersRequest().send()).getPeers()[0].getState() == idl::SessionState::READY);
}

}  // namespace
}  // namespace nexus::interop
