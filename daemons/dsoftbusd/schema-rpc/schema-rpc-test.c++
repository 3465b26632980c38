// Calls between nodes as programs see them: an honest calling end, the serving end, a service.
#include <capnp/rpc-twoparty.h>
#include <doctest/doctest.h>

#include "daemons/dsoftbusd/schema-rpc/rpc-fixture.h"

namespace nexus {
namespace {

using Kind = kj::Exception::Type;

// node-a calls node-b.
struct Caller {
  RpcServingNode& node;
  RpcServingNode::Stream stream;
  idl::Gauge::Client gauge;

  explicit Caller(RpcServingNode& node, kj::StringPtr peer = "node-a", RpcStreamLimits limits = {})
      : node(node),
        stream(node.open(peer)),
        gauge(newRemoteService(kj::mv(stream.end), node.sim.timer, "node-b", limits).castAs<idl::Gauge>()) {}
};

struct Failure {
  Kind kind;
  kj::String text;
};

template <typename T>
Failure failureOf(SimClock& sim, kj::Promise<T> promise) {
  return sim.run(promise.then([](T&&) -> Failure { KJ_FAIL_REQUIRE("it did not fail"); },
                              [](kj::Exception&& e) -> Failure { return {e.getType(), kj::str(e.getDescription())}; }));
}

#define FAILURE(request) failureOf(node.sim, (request).send().dropPipeline())

bool has(const kj::String& text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

TEST_CASE("a method that a rule names is called with data and answers with data, and leaves one audit record") {
  RpcServingNode node;
  Caller caller(node);
  auto request = caller.gauge.echoRequest();
  request.setData(kj::StringPtr("abc").asBytes());
  auto response = node.sim.run(request.send().dropPipeline());
  CHECK(kj::str(response.getData().asChars()) == "abc");
  CHECK(node.audit.lastId() == 1);
  auto record = node.lastAudit();
  CHECK(record.peer == "node-a");
  CHECK(record.service == "rpc:gauge");
  CHECK(record.operation == "echo");
  CHECK(record.verdict == CallStatus::OK);
  CHECK(record.requestBytes > 0);
}

TEST_CASE("inherited methods and structs with all their nesting cross") {
  RpcServingNode node;
  Caller caller(node);
  CHECK(node.sim.run(caller.gauge.nameRequest().send().dropPipeline()).getName() == "gauge");
  auto request = caller.gauge.sumRequest();
  auto tree = request.initTree();
  for (int i = 0; i < 10; i++) {
    tree.setValue(i);
    tree = tree.initChildren(1)[0];
  }
  CHECK(node.sim.run(request.send().dropPipeline()).getSum() == 45);
}

TEST_CASE("a streaming method keeps its order and can be flooded") {
  RpcServingNode node;
  Caller caller(node);
  for (int i = 1; i <= 5; i++) {
    auto request = caller.gauge.addRequest();
    request.setAmount(i);
    node.sim.run(request.send());
  }
  node.sim.settle();
  CHECK(node.state.total == 12345);
}

TEST_CASE("a refusal names the method, the peer and the audit record at the node that refused") {
  RpcServingNode node;
  Caller caller(node, "node-c");
  auto failure = FAILURE(caller.gauge.nameRequest());
  CHECK(failure.kind == Kind::FAILED);
  INFO(failure.text.cStr());
  CHECK(has(failure.text, "denied: no rule of node-b allows name of rpc:gauge to node-c; audit id 1 at node-b"));
  CHECK(node.lastAudit().verdict == CallStatus::DENIED);
  CHECK(node.asked == 0);
}

TEST_CASE("calls above the rate are OVERLOADED with an audit id, and cost the service nothing") {
  RpcServingNode node({}, 2);
  Caller caller(node);
  for (int i = 0; i < 2; i++) node.sim.run(caller.gauge.echoRequest().send().dropPipeline());
  auto failure = FAILURE(caller.gauge.echoRequest());
  CHECK(failure.kind == Kind::OVERLOADED);
  CHECK(has(failure.text, "rate limited: rpc:gauge at node-b refuses this call; audit id 3 at node-b"));
  CHECK(node.asked == 2);
}

TEST_CASE("a capability in the parameters fails the call at the calling node and leaves the stream as it was") {
  RpcServingNode node;
  Caller caller(node);
  auto request = caller.gauge.takeRequest();
  request.setGauge(kj::heap<GaugeImpl>(node.state));
  auto failure = FAILURE(request);
  CHECK(failure.kind == Kind::FAILED);
  CHECK(has(failure.text, "the call holds a capability: only data crosses between nodes"));
  CHECK(node.audit.lastId() == 0);  // nothing was sent
  node.sim.run(caller.gauge.echoRequest().send().dropPipeline());
}

TEST_CASE("a capability in an answer fails the call at the serving node, wherever the schema has no field for it") {
  RpcServingNode node;
  Caller caller(node);
  auto failure = FAILURE(caller.gauge.sneakRequest());
  CHECK(failure.kind == Kind::FAILED);
  INFO(failure.text.cStr());
  CHECK(has(failure.text,
            "the answer of rpc:gauge at node-b holds a capability: only data crosses between nodes; "
            "audit id 1 at node-b"));
  CHECK(node.lastAudit().verdict == CallStatus::BACKEND_FAILED);
  CHECK(node.exporter->counters().withheldAnswers == 1);
  node.sim.settle();
  CHECK(node.state.objects == 1);  // the sneaked one is gone: nobody else ever held it
  node.sim.run(caller.gauge.echoRequest().send().dropPipeline());
}

TEST_CASE("a method that could hand out a capability is refused even when a rule names it") {
  RpcServingNode node;
  Caller caller(node);
  auto failure = FAILURE(caller.gauge.giveRequest());
  CHECK(has(failure.text, "denied"));
  CHECK(node.state.calls == 0);
}

TEST_CASE("a call on the result of a call fails: results hold no capabilities") {
  RpcServingNode node;
  Caller caller(node);
  auto pipelined = caller.gauge.giveRequest().send().getGauge();
  CHECK(FAILURE(pipelined.echoRequest()).kind == Kind::FAILED);
}

TEST_CASE("parameters and answers above the limit fail, at the limit they pass") {
  RpcStreamLimits limits;
  limits.maxPayload = 1024;
  RpcServingNode node(limits);
  Caller honest(node, "node-a", limits);
  auto grow = [&](Caller& caller, uint32_t bytes) {
    auto request = caller.gauge.growRequest();
    request.setBytes(bytes);
    return request.send().dropPipeline();
  };
  // The struct and its pointer are 1 word.
  CHECK(node.sim.run(grow(honest, 1024 - 8)).getData().size() == 1016);
  auto failure = failureOf(node.sim, grow(honest, 1024 - 7));
  CHECK(has(failure.text, "is too large"));
  CHECK(node.lastAudit().verdict == CallStatus::REPLY_OVERSIZED);

  auto request = honest.gauge.echoRequest();
  request.initData(1024 - 7);
  CHECK(has(FAILURE(request).text, "the call is too large"));

  Caller generous(node);  // sends what the serving end refuses
  auto large = generous.gauge.echoRequest();
  large.initData(1024 - 7);
  failure = FAILURE(large);
  CHECK(has(failure.text, "the call of echo is too large; audit id "));
  CHECK(node.lastAudit().verdict == CallStatus::OVERSIZED);
}

TEST_CASE("parameters and answers of exactly the largest size cross, with the limits that nodes have") {
  RpcServingNode node;
  Caller caller(node);
  auto request = caller.gauge.echoRequest();
  request.initData(RpcStreamLimits().maxPayload - 8);
  CHECK(node.sim.run(request.send().dropPipeline()).getData().size() == 256 * 1024 - 8);
}

TEST_CASE("more calls in one turn than may be unanswered are OVERLOADED, and the stream goes on") {
  RpcServingNode node;
  Caller caller(node);
  kj::Vector<kj::Promise<kj::String>> calls;
  for (int i = 0; i < 400; i++) {
    auto request = caller.gauge.echoRequest();
    calls.add(request.send()
                  .dropPipeline()
                  .then([](auto&&) { return kj::str("ok"); }, [](kj::Exception&& e) { return kj::str(e); })
                  .eagerlyEvaluate(nullptr));
  }
  auto answers = node.sim.run(kj::joinPromises(calls.releaseAsArray()));
  size_t ok = 0;
  for (auto& a : answers)
    if (a == "ok") ok++;
  CHECK(ok == 32);
  CHECK(has(answers[399], "overloaded: too many calls on this service are unanswered"));
  node.sim.run(caller.gauge.echoRequest().send().dropPipeline());
}

TEST_CASE("calls that are given up in the turn in which they were made count too, and the stream goes on") {
  RpcServingNode node;
  Caller caller(node);
  // A program on a socket: what it writes at once is read at once.
  auto socket = kj::newTwoWayPipe();
  capnp::TwoPartyServer local(caller.gauge);
  local.accept(kj::mv(socket.ends[0]));
  capnp::TwoPartyClient program(*socket.ends[1]);
  auto gauge = program.bootstrap().castAs<idl::Gauge>();
  node.sim.run(gauge.echoRequest().send().dropPipeline());
  for (int i = 0; i < 400; i++) auto givenUp = gauge.hangRequest().send();
  node.sim.settle();
  CHECK(node.exporter->counters().brokenStreams == 0);
  CHECK(node.state.hanging == 0);
  node.sim.run(gauge.echoRequest().send().dropPipeline());
}

TEST_CASE("a call in flight above the bound of its stream or of its peer is OVERLOADED and counted") {
  RpcStreamLimits limits;
  limits.maxCalls = 4;
  limits.maxCallsOfPeer = 6;
  RpcServingNode node(limits);
  Caller one(node), two(node), other(node, "node-c");
  kj::Vector<kj::Promise<void>> hanging;
  auto hang = [&](Caller& caller) {
    hanging.add(caller.gauge.hangRequest().send().ignoreResult().eagerlyEvaluate(nullptr));
    node.sim.settle();
  };
  for (int i = 0; i < 4; i++) hang(one);
  auto failure = FAILURE(one.gauge.hangRequest());
  CHECK(failure.kind == Kind::OVERLOADED);
  CHECK(has(failure.text, "too many calls at once: rpc:gauge at node-b"));
  CHECK(node.lastAudit().verdict == CallStatus::RATE_LIMITED);
  for (int i = 0; i < 2; i++) hang(two);
  CHECK(FAILURE(two.gauge.hangRequest()).kind == Kind::OVERLOADED);
  hang(other);
  CHECK(node.state.hanging == 7);
  CHECK(node.exporter->counters().refusedCalls == 2);
  CHECK(node.exporter->callsOf("node-a") == 6);

  hanging.clear();  // given up: the service hears it, and there is room again
  node.sim.settle();
  CHECK(node.state.cancelled == 7);
  CHECK(node.exporter->callsOf("node-a") == 0);
  CHECK(node.lastAudit().verdict == CallStatus::CANCELLED);
  node.sim.run(one.gauge.echoRequest().send().dropPipeline());
}

TEST_CASE("a calling end bounds its own calls too") {
  RpcStreamLimits limits;
  limits.maxCalls = 3;
  RpcServingNode node;
  Caller caller(node, "node-a", limits);
  kj::Vector<kj::Promise<void>> hanging;
  for (int i = 0; i < 3; i++) {
    hanging.add(caller.gauge.hangRequest().send().ignoreResult().eagerlyEvaluate(nullptr));
  }
  node.sim.settle();
  CHECK(node.state.hanging == 3);
  auto failure = FAILURE(caller.gauge.echoRequest());
  CHECK(failure.kind == Kind::OVERLOADED);
  CHECK(has(failure.text, "too many calls on this service are unanswered"));
}

TEST_CASE("a service that does not answer in time is OVERLOADED, and is told that nobody waits") {
  RpcServingNode node;
  Caller caller(node);
  auto failure = FAILURE(caller.gauge.hangRequest());
  CHECK(failure.kind == Kind::OVERLOADED);
  CHECK(has(failure.text, "rpc:gauge at node-b did not answer in time; audit id 1 at node-b"));
  CHECK(node.lastAudit().verdict == CallStatus::TIMED_OUT);
  node.sim.settle();
  CHECK(node.state.cancelled == 1);
}

TEST_CASE("a peer that never answers is given up") {
  SimClock sim;
  auto pipe = kj::newTwoWayPipe();
  auto gauge = newRemoteService(kj::mv(pipe.ends[0]), sim.timer, "node-b").castAs<idl::Gauge>();
  auto sink = pipe.ends[1]->readAllBytes().eagerlyEvaluate(nullptr);
  auto failure = failureOf(sim, gauge.echoRequest().send().dropPipeline());
  CHECK(failure.kind == Kind::OVERLOADED);
  CHECK(has(failure.text, "the peer did not answer a call in time"));
}

TEST_CASE("what a service says when it fails crosses as printable text, with its kind and the audit id") {
  RpcServingNode node;
  Caller caller(node);
  auto failure = FAILURE(caller.gauge.failRequest());
  CHECK(failure.kind == Kind::FAILED);
  INFO(failure.text.cStr());
  CHECK(has(failure.text, "rpc:gauge at node-b failed: "));
  CHECK(has(failure.text, "the gauge is?stuck; audit id 1 at node-b"));
  CHECK(node.lastAudit().verdict == CallStatus::BACKEND_FAILED);
}

TEST_CASE("of what a service says when it fails 512 bytes cross") {
  RpcServingNode node;
  Caller caller(node);
  for (size_t bytes : {512, 513, 100000}) {
    node.state.failureBytes = bytes;
    auto failure = FAILURE(caller.gauge.failRequest());
    CHECK(has(failure.text, kj::str("failed: ", kj::repeat('z', 512), "; audit id ")));
  }
}

TEST_CASE("a service that was restarted is there again for the next call on the same capability") {
  RpcServingNode node;
  Caller caller(node);
  node.gauge = nullptr;
  auto failure = FAILURE(caller.gauge.echoRequest());
  CHECK(failure.kind == Kind::DISCONNECTED);
  CHECK(node.lastAudit().verdict == CallStatus::BACKEND_FAILED);
  node.gauge = capnp::Capability::Client(kj::heap<GaugeImpl>(node.state));
  node.sim.run(caller.gauge.echoRequest().send().dropPipeline());
}

TEST_CASE("when the session ends, calls fail as DISCONNECTED, and the serving node records what was under way") {
  RpcServingNode node;
  Caller caller(node);
  auto pending = caller.gauge.hangRequest().send().dropPipeline().eagerlyEvaluate(nullptr);
  node.sim.settle();
  CHECK(node.state.hanging == 1);
  caller.stream.serving = nullptr;
  CHECK(failureOf(node.sim, kj::mv(pending)).kind == Kind::DISCONNECTED);
  CHECK(FAILURE(caller.gauge.echoRequest()).kind == Kind::DISCONNECTED);
  CHECK(node.lastAudit().verdict == CallStatus::CANCELLED);
  CHECK(node.state.hanging == 0);
  CHECK(node.exporter->callsOf("node-a") == 0);
}

TEST_CASE("a stream is let in when any rule names its service to the peer, and only so many of one peer") {
  RpcStreamLimits limits;
  limits.maxStreamsOfPeer = 2;
  RpcServingNode node(limits);
  auto may = [&](kj::StringPtr peer, kj::StringPtr name) { return node.exporter->mayOpen({true, peer}, name); };
  CHECK(may("node-a", "rpc:gauge#i1").admitted);
  CHECK(may("node-a", "rpc:gauge#i1").served);
  CHECK(node.lastAudit().operation == "(open)");
  CHECK(node.lastAudit().verdict == CallStatus::OK);
  for (auto name : {"rpc:gauge", "rpc:other#i1", "rpc:#i1", "rpc:Gauge#i1"}) {
    auto admission = may("node-a", name);
    CHECK(node.lastAudit().service == (kj::StringPtr(name) == "rpc:other#i1" ? "rpc:other"_kj : kj::StringPtr(name)));
    CHECK(!admission.admitted);
    CHECK(admission.auditId == node.audit.lastId());
    CHECK(node.lastAudit().verdict == CallStatus::DENIED);
  }
  CHECK(!may("node-d", "rpc:gauge#i1").admitted);
  CHECK(!node.exporter->mayOpen({false, "stranger"}, "rpc:gauge#i1").admitted);
  CHECK(node.lastAudit().verdict == CallStatus::UNAUTHENTICATED);

  CHECK(node.exporter->peersNow() == 0);
  auto one = node.open(), two = node.open();
  CHECK(node.exporter->peersNow() == 1);
  CHECK(!may("node-a", "rpc:gauge#i3").admitted);
  CHECK(node.lastAudit().verdict == CallStatus::RATE_LIMITED);
  CHECK(node.exporter->counters().refusedStreams == 1);
  CHECK(may("node-c", "rpc:gauge#i3").admitted);
  two.serving = nullptr;
  CHECK(may("node-a", "rpc:gauge#i3").admitted);
  CHECK(node.exporter->peersNow() == 1);
  one.serving = nullptr;
  CHECK(node.exporter->peersNow() == 0);
  CHECK(node.exporter->counters().streams == 2);
}

}  // namespace
}  // namespace nexus
