// Two running nodes that do not know each other, each daemon in its sandbox, and two people at their sockets.
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "idl/bus-trust.capnp.h"
#include "idl/dsoftbus.capnp.h"
#include "tests/interop/live-client.h"

namespace nexus::interop {
namespace {

using State = idl::SessionState;
using PairOutcome = idl::PairOutcome;

constexpr kj::StringPtr ADDRESS_A = "127.0.0.1"_kj, ADDRESS_B = "127.0.0.2"_kj;

class TwoNodes : public LiveClient {
 public:
  TwoNodes()
      : a("node-a", ADDRESS_A, port, discoveryPort, settings(ADDRESS_B)),
        b("node-b", ADDRESS_B, port, discoveryPort, settings(ADDRESS_A)) {}

  // Waits until the node's peer of that name, or the one without a name, is in that state.
  void waitForState(idl::DSoftBus::Client bus, kj::StringPtr peer, State wanted) {
    for (uint32_t known = 0;;) {
      auto request = bus.peersRequest();
      request.setKnown(known);
      auto response = wait(request.send());
      known = response.getGeneration();
      for (auto info : response.getPeers()) {
        if (info.getName() == peer && info.getState() == wanted) return;
      }
    }
  }

 private:
  uint16_t discoveryPort = freePort();

  kj::String settings(kj::StringPtr other) {
    return kj::str("trustFile = \"FOLDER/paired\"\nunicastPeers = [\"", other, "\"]\n");
  }

 public:
  uint16_t port = freePort();
  LiveNode a, b;
};

idl::Pairing::Client open(TwoNodes& nodes, idl::BusTrust::Client trust, kj::StringPtr name, kj::StringPtr peer) {
  auto request = trust.pairRequest();
  request.setName(name);
  request.setPeer(peer);
  auto response = nodes.wait(request.send());
  REQUIRE(response.getOutcome() == PairOutcome::OK);
  return response.getPairing();
}

auto confirm(idl::Pairing::Client pairing) {
  auto request = pairing.confirmRequest();
  request.setSame(true);
  return request.send();
}

struct Stored {
  mode_t mode;
  std::string text;
};
Stored stored(LiveNode& node) {
  auto path = kj::str(node.folder(), "/paired");
  struct stat info;
  KJ_SYSCALL(stat(path.cStr(), &info));
  std::stringstream text;
  text << std::ifstream(path.cStr()).rdbuf();
  return {info.st_mode & 07777, text.str()};
}

TEST_CASE("two live nodes are paired through their sockets, have a session, and lose it when one is unpaired") {
  TwoNodes nodes;
  auto trustA = nodes.connect<idl::BusTrust>(nodes.a, "bus-trust"),
       trustB = nodes.connect<idl::BusTrust>(nodes.b, "bus-trust");
  auto busA = nodes.connect<idl::DSoftBus>(nodes.a, "bus"), busB = nodes.connect<idl::DSoftBus>(nodes.b, "bus");

  auto atB = open(nodes, trustB, "node-a", "");
  auto atA = open(nodes, trustA, "node-b", kj::str(ADDRESS_B, ':', nodes.port));
  auto codeA = nodes.wait(atA.codeRequest().send()), codeB = nodes.wait(atB.codeRequest().send());
  REQUIRE(codeA.getOutcome() == PairOutcome::OK);
  CHECK(codeA.getCode().size() == 8);
  CHECK(codeA.getCode() == codeB.getCode());
  CHECK(nodes.wait(trustA.listRequest().send()).getPeers().size() == 0);

  auto saidA = confirm(atA), saidB = confirm(atB);
  CHECK(nodes.wait(kj::mv(saidA)).getOutcome() == PairOutcome::OK);
  CHECK(nodes.wait(kj::mv(saidB)).getOutcome() == PairOutcome::OK);

  auto request = busA.sessionRequest();
  request.setPeer("node-b");
  auto response = nodes.wait(request.send());
  REQUIRE(response.getOutcome() == idl::DSoftBus::Outcome::OK);
  auto session = response.getSession();
  auto ping = session.pingRequest();
  ping.setPayload("abc"_kj.asBytes());
  CHECK(nodes.wait(ping.send()).getPayload() == "abc"_kj.asBytes());
  nodes.waitForState(busB, "node-a", State::READY);

  // In the sandbox: made, synced and renamed there, for the owner alone.
  auto fileA = stored(nodes.a);
  CHECK(fileA.mode == 0600);
  CHECK(fileA.text.find(kj::str("node-b ", codeA.getDeviceId(), ' ').cStr()) != std::string::npos);
  CHECK(stored(nodes.b).text.find(kj::str("node-a ", codeB.getDeviceId(), ' ').cStr()) != std::string::npos);

  // The next key of node-b, also from within the sandbox; the session goes on.
  auto rekey = trustA.rekeyRequest();
  rekey.setPeer("node-b");
  rekey.setDeviceId(kj::str(kj::repeat('1', 64)));
  rekey.setStaticKey(kj::str(kj::repeat('2', 64)));
  rekey.setUntil("2260-12-01T00:00:00Z");
  CHECK(nodes.wait(rekey.send()).getOutcome() == idl::BusTrust::RekeyOutcome::OK);
  auto after = stored(nodes.a).text;
  CHECK(after.find(" 2260-12-01T00:00:00Z\n") != std::string::npos);
  CHECK(after.find(kj::str(" previous ", codeA.getDeviceId(), ' ').cStr()) != std::string::npos);
  CHECK(nodes.wait(session.pingRequest().send()).getPayload().size() == 0);

  auto unpair = trustA.unpairRequest();
  unpair.setPeer("node-b");
  CHECK(nodes.wait(unpair.send()).getOutcome() == idl::BusTrust::UnpairOutcome::OK);
  CHECK_THROWS_AS(nodes.wait(session.pingRequest().send()), kj::Exception);
  nodes.waitForState(busB, "node-a", State::REFUSED);
  CHECK(stored(nodes.a).text == "nexus-net paired peers 1\n");
  CHECK(stored(nodes.a).mode == 0600);
  CHECK(nodes.wait(trustA.listRequest().send()).getPeers().size() == 0);
}

}  // namespace
}  // namespace nexus::interop
