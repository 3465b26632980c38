#include "selftest/bus-steps.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include <string>

#include "daemons/dsoftbusd/bus/bus-fixture.h"

namespace nexus {
namespace {

const auto SELF = IpAddress::v4(10, 42, 0, 10), PEER = IpAddress::v4(10, 42, 0, 11);

struct Record {
  kj::StringPtr peer, service;
  idl::CallStatus verdict;
};

// What the bus of this node answers, settable by the test. Calls go nowhere: each service has a canned answer.
struct Script {
  idl::DSoftBus::Outcome outcome = idl::DSoftBus::Outcome::OK;
  idl::CallStatus samgrd = idl::CallStatus::OK, bundlemgrd = idl::CallStatus::OK, keystored = idl::CallStatus::DENIED;
  kj::StringPtr samgrdReply = RESOLVE_REPLY_HEX;
  kj::StringPtr bundlemgrdReply = "424e018100010000"_kj;
  uint64_t auditId = 5;
  bool peerKnown = true;
  bool offersSamgr = true, knowsBundlemgrd = true, knowsAll = false, registers = false;
  kj::Vector<Record> audit;
};

// The peer's samgrd as schema RPC gives it.
class FakeSamgr final : public idl::Samgr::Server {
 public:
  explicit FakeSamgr(Script& script) : script(script) {}
  kj::Promise<void> resolveStatus(ResolveStatusContext context) override {
    bool known = script.knowsAll || (context.getParams().getName() == "bundlemgrd" && script.knowsBundlemgrd);
    context.getResults().setStatus(known ? idl::Samgr::Status::OK : idl::Samgr::Status::NOT_FOUND);
    return kj::READY_NOW;
  }
  kj::Promise<void> register_(RegisterContext) override {
    if (script.registers) return kj::READY_NOW;
    return KJ_EXCEPTION(FAILED, "denied: no rule of node-b allows register of rpc:samgr to node-a; audit id 17");
  }

 private:
  Script& script;
};

class FakeSession final : public idl::PeerSession::Server {
 public:
  explicit FakeSession(Script& script) : script(script) {}
  kj::Promise<void> call(CallContext context) override {
    auto service = context.getParams().getService();
    auto results = context.getResults();
    auto answer = [&](idl::CallStatus status, kj::StringPtr hex) {
      results.setStatus(status);
      if (status == idl::CallStatus::OK) results.setReply(kj::decodeHex(hex).asPtr());
    };
    if (service == "samgrd") answer(script.samgrd, script.samgrdReply);
    if (service == "bundlemgrd") answer(script.bundlemgrd, script.bundlemgrdReply);
    if (service == "keystored") answer(script.keystored, "");
    results.setAuditId(script.auditId);
    return kj::READY_NOW;
  }
  kj::Promise<void> rpc(RpcContext context) override {
    if (!script.offersSamgr) {
      context.getResults().setOutcome(idl::PeerSession::StreamOutcome::DENIED);
    } else if (context.getParams().getService() == "samgr") {
      context.getResults().setService(kj::heap<FakeSamgr>(script));
    }
    return kj::READY_NOW;
  }

 private:
  Script& script;
};

class FakeBus final : public idl::DSoftBus::Server {
 public:
  explicit FakeBus(Script& script) : script(script) {}
  kj::Promise<void> peers(PeersContext context) override {
    if (!script.peerKnown) return kj::READY_NOW;
    auto entry = context.getResults().initPeers(1)[0];
    entry.setName("node-b");
    SocketAddress{PEER, BusNode::PORT}.toIdl(entry.initAddress());
    return kj::READY_NOW;
  }
  kj::Promise<void> session(SessionContext context) override {
    context.getResults().setOutcome(script.outcome);
    if (script.outcome == idl::DSoftBus::Outcome::OK) context.getResults().setSession(kj::heap<FakeSession>(script));
    return kj::READY_NOW;
  }
  kj::Promise<void> audit(AuditContext context) override {
    auto after = kj::min(context.getParams().getAfter(), script.audit.size());
    auto list = context.getResults().initRecords(script.audit.size() - after);
    for (size_t i = after; i < script.audit.size(); i++) {
      list[i - after].setId(i + 1);
      list[i - after].setPeer(script.audit[i].peer);
      list[i - after].setService(script.audit[i].service);
      list[i - after].setVerdict(script.audit[i].verdict);
    }
    return kj::READY_NOW;
  }

 private:
  Script& script;
};

struct Fixture {
  SimClock clock;
  SimNetwork network{clock.timer};
  kj::Own<BusNode> node;
  FixedEntropy entropy{3};
  Script script;
  BusSteps steps{[this] { return network.manager("self"); },
                 [this]() -> idl::DSoftBus::Client { return kj::heap<FakeBus>(script); }, clock.timer, entropy};

  explicit Fixture(kj::StringPtr trusted = "selftest"_kj) {
    network.addNode("self", SELF);
    network.addNode("node-b", PEER);
    node = kj::heap<BusNode>(clock, network, "node-b", PEER, kj::arrayPtr(&trusted, 1));
  }

  // Empty when the step passed.
  std::string failure(kj::Promise<void> step) {
    std::string text;
    auto exception = kj::runCatchingExceptions([&] { clock.run(kj::mv(step)); });
    KJ_IF_MAYBE (e, exception) text = kj::str(e->getDescription()).cStr();
    return text;
  }
};

TEST_CASE("a session with a dsoftbusd that trusts the selftest carries a ping") {
  Fixture f;
  CHECK(f.failure(f.steps.connect("node-b", f.node->socketAddress())) == "");
  CHECK(f.failure(f.steps.ping()) == "");
}

TEST_CASE("a ping is answered by the peer or by nobody") {
  Fixture f;
  CHECK(f.failure(f.steps.connect("node-b", f.node->socketAddress())) == "");
  f.network.killConnections("node-b");
  CHECK(f.failure(f.steps.ping()) != "");
}

TEST_CASE("without a session there is nothing to ping through") {
  Fixture f;
  CHECK(f.failure(f.steps.ping()) == "there is no session to ping through");
}

TEST_CASE("a dsoftbusd with another key is not connected to") {
  Fixture f;
  CHECK(f.failure(f.steps.connect("node-a", f.node->socketAddress())) != "");
}

TEST_CASE("a dsoftbusd that does not trust the selftest fails the connect or the ping, with a reason") {
  Fixture f("somebody-else"_kj);
  auto connected = f.failure(f.steps.connect("node-b", f.node->socketAddress()));
  CHECK((connected != "" || f.failure(f.steps.ping()) != ""));
}

TEST_CASE("remote resolve takes OK from the peer's samgrd and nothing else") {
  Fixture f;
  CHECK(f.failure(f.steps.remoteResolve("node-b")) == "");
  f.script.samgrdReply =
      "534d01860100000000000000"
      "00"_kj;
  CHECK(f.failure(f.steps.remoteResolve("node-b")) == "nobody serves bundlemgrd there");
  f.script.samgrdReply = LIST_REPLY_HEX;
  CHECK(f.failure(f.steps.remoteResolve("node-b")) == "samgrd: the reply is not one");
  f.script.samgrd = idl::CallStatus::DENIED;
  CHECK(f.failure(f.steps.remoteResolve("node-b")) == "samgrd: the peer answered denied");
  CHECK(f.failure(f.steps.waitForSession("node-b")) == "");
  f.script.outcome = idl::DSoftBus::Outcome::UNREACHABLE;
  CHECK(f.failure(f.steps.waitForSession("node-b")) == "node-b cannot be reached");
  CHECK(f.failure(f.steps.remoteResolve("node-b")) == "node-b cannot be reached");
}

TEST_CASE("remote query wants the one bundle of the image") {
  Fixture f;
  CHECK(f.failure(f.steps.remoteQuery("node-b")) == "");
  f.script.bundlemgrdReply = LIST_REPLY_HEX;  // two
  CHECK(f.failure(f.steps.remoteQuery("node-b")) == "LIST: status 0, 2 bundles, expected 1");
}

TEST_CASE("remote rpc wants two true answers and the refusal of what no rule allows") {
  Fixture f;
  CHECK(f.failure(f.steps.remoteRpc("node-b")) == "");
  f.script.registers = true;
  CHECK(f.failure(f.steps.remoteRpc("node-b")) == "register was not refused with an audit id: it was done");
  f.script.knowsAll = true;
  CHECK(f.failure(f.steps.remoteRpc("node-b")) == "a name that nobody has was found");
  f.script.knowsAll = f.script.knowsBundlemgrd = false;
  CHECK(f.failure(f.steps.remoteRpc("node-b")) == "nobody serves bundlemgrd");
  f.script.offersSamgr = false;
  CHECK(f.failure(f.steps.remoteRpc("node-b")) == "the peer refused calls to samgr, outcome 1");
}

TEST_CASE("denied needs the refusal with its audit record, and the stranger's refusal at a real dsoftbusd") {
  Fixture f;
  CHECK(f.failure(f.steps.remoteDenied("node-b")) == "");
  CHECK((f.node->lastAudit().verdict == CallStatus::UNAUTHENTICATED));
  f.script.auditId = 0;
  CHECK(f.failure(f.steps.remoteDenied("node-b")) == "the refusal names no audit record");
  f.script.keystored = idl::CallStatus::OK;
  CHECK(f.failure(f.steps.remoteDenied("node-b")) == "a call to keystored was answered ok, not denied");
}

TEST_CASE("a dsoftbusd that answers the stranger fails the step") {
  Fixture f("stranger"_kj);
  CHECK(f.failure(f.steps.remoteDenied("node-b")) == "a stranger's call was answered ok, not unauthenticated");
}

TEST_CASE("the acceptor waits until its audit log holds all four of the other node's calls") {
  Fixture f;
  auto done = f.steps.sawPeersCalls("node-a");
  f.script.audit.add(Record{"node-a", "samgrd", idl::CallStatus::OK});
  f.script.audit.add(Record{"node-a", "keystored", idl::CallStatus::DENIED});
  f.script.audit.add(Record{"other", "bundlemgrd", idl::CallStatus::OK});
  f.script.audit.add(Record{"", "samgrd", idl::CallStatus::UNAUTHENTICATED});
  f.clock.advance(5 * kj::SECONDS);
  CHECK_FALSE(done.poll(f.clock.waitScope));
  f.script.audit.add(Record{"node-a", "bundlemgrd", idl::CallStatus::OK});
  f.clock.advance(1 * kj::SECONDS);
  CHECK(done.poll(f.clock.waitScope));
}

}  // namespace
}  // namespace nexus
