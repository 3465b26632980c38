// Peers that speak the RPC protocol by hand: every message that could carry, pass on or redirect a capability, and
// every way to make the serving end keep something. Each stream ends or the call fails; no object is ever made
// reachable.
#include <capnp/serialize-async.h>
#include <doctest/doctest.h>
#include <kj/encoding.h>

#include "daemons/dsoftbusd/schema-rpc/rpc-fixture.h"

namespace nexus {
namespace {

using capnp::rpc::CapDescriptor;
using capnp::rpc::Message;

constexpr uint64_t GAUGE = capnp::typeId<idl::Gauge>();
enum : uint16_t { ECHO = 0, GROW = 1, HANG = 2, FAIL = 3, TAKE = 6 };

// Written as a capability pointer; whom it points to does not matter.
capnp::Capability::Client somebody() {
  return KJ_EXCEPTION(FAILED, "nobody");
}

// The calling end, message by message.
struct HostilePeer {
  RpcServingNode& node;
  RpcServingNode::Stream stream;
  capnp::AsyncIoMessageStream messages;
  kj::Vector<kj::Own<capnp::MessageReader>> inbox;
  kj::Vector<kj::Own<capnp::MallocMessageBuilder>> outbox;
  kj::Promise<void> reading, writing = kj::READY_NOW;
  bool ended = false;

  explicit HostilePeer(RpcServingNode& node, kj::StringPtr peer = "node-a", bool reads = true)
      : node(node), stream(node.open(peer)), messages(*stream.end), reading(nullptr) {
    if (reads) startReading();
  }

  void startReading() {
    reading = readLoop().eagerlyEvaluate([this](kj::Exception&&) { ended = true; });
  }

  kj::Promise<void> readLoop() {
    for (;;) {
      auto message = co_await messages.tryReadMessage();
      KJ_IF_MAYBE (m, message) {
        inbox.add(kj::mv(*m));
      } else {
        ended = true;
        co_return;
      }
    }
  }

  // Queues one message; `fill` says what it is.
  template <typename Fill>
  HostilePeer& send(Fill&& fill) {
    auto builder = kj::heap<capnp::MallocMessageBuilder>();
    fill(builder->initRoot<Message>());
    auto& b = *outbox.add(kj::mv(builder));
    writing = writing.then([this, &b] { return messages.writeMessage(b); }).eagerlyEvaluate([this](kj::Exception&&) {
      ended = true;
    });
    node.sim.settle();
    return *this;
  }

  HostilePeer& bootstrap(uint32_t id = 0) {
    return send([&](Message::Builder m) { m.initBootstrap().setQuestionId(id); });
  }

  // A call on the bootstrap's answer, question 0.
  template <typename Fill>
  HostilePeer& call(uint32_t id, uint16_t method, Fill&& fill, uint64_t interface = GAUGE) {
    return send([&](Message::Builder m) {
      auto call = m.initCall();
      call.setQuestionId(id);
      call.setInterfaceId(interface);
      call.setMethodId(method);
      call.initTarget().initPromisedAnswer().setQuestionId(0);
      call.initParams();
      fill(call);
    });
  }
  HostilePeer& call(uint32_t id, uint16_t method) { return callOf(GAUGE, id, method); }
  HostilePeer& callOf(uint64_t interface, uint32_t id, uint16_t method) {
    return call(id, method, [](capnp::rpc::Call::Builder) {}, interface);
  }
  HostilePeer& finish(uint32_t id, bool releaseCapabilities = false) {
    return send([&](Message::Builder m) {
      auto finish = m.initFinish();
      finish.setQuestionId(id);
      finish.setReleaseResultCaps(releaseCapabilities);
    });
  }

  // The last message of the serving end, if it is an Abort.
  kj::String abortReason() {
    if (inbox.size() == 0) return kj::str("nothing came");
    auto last = inbox.back()->getRoot<Message>();
    return last.isAbort() ? kj::str(last.getAbort().getReason()) : kj::str("no abort");
  }
  kj::Maybe<capnp::rpc::Return::Reader> answerTo(uint32_t id) {
    for (auto& message : inbox) {
      auto root = message->getRoot<Message>();
      if (root.isReturn() && root.getReturn().getAnswerId() == id) return root.getReturn();
    }
    return nullptr;
  }
  kj::String failureOf(uint32_t id) {
    KJ_IF_MAYBE (answer, answerTo(id)) {
      return answer->isException() ? kj::str(answer->getException().getReason()) : kj::str("no exception");
    }
    return kj::str("no answer");
  }
  bool works(uint32_t id) {
    call(id, ECHO);
    return answerTo(id).map([](capnp::rpc::Return::Reader r) { return r.isResults(); }).orDefault(false);
  }
};

bool has(kj::StringPtr text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

// What every attack must leave: the stream ended with the reason, the service untouched, nothing held.
void checkBroken(HostilePeer& peer, kj::StringPtr reason) {
  auto said = peer.abortReason();
  INFO(said.cStr());
  CHECK(has(said, reason));
  CHECK(peer.ended);
  CHECK(peer.node.exporter->counters().brokenStreams == 1);
  CHECK(peer.node.exporter->callsOf("node-a") == 0);
  CHECK(peer.node.state.objects == 1);
}

constexpr auto NO_CAPABILITIES = "a capability table is not empty: only data crosses between nodes"_kj;

TEST_CASE("an honest conversation by hand works: bootstrap, call, answer, finish") {
  RpcServingNode node;
  HostilePeer peer(node);
  peer.bootstrap();
  auto answer = KJ_ASSERT_NONNULL(peer.answerTo(0)).getResults();
  CHECK(answer.getCapTable().size() == 1);
  CHECK(answer.getCapTable()[0].isSenderHosted());
  CHECK(peer.works(1));
  CHECK(KJ_ASSERT_NONNULL(peer.answerTo(1)).getResults().getCapTable().size() == 0);
  peer.finish(0);
  // Also on the capability itself.
  peer.send([](Message::Builder m) {
    auto call = m.initCall();
    call.setQuestionId(2);
    call.setInterfaceId(GAUGE);
    call.initTarget().setImportedCap(0);
  });
  CHECK(KJ_ASSERT_NONNULL(peer.answerTo(2)).isResults());
  CHECK(node.exporter->counters().brokenStreams == 0);
}

TEST_CASE("any entry in the capability table of a call ends the stream, of whatever kind it is") {
  for (int kind = 0; kind < 6; kind++) {
    CAPTURE(kind);
    RpcServingNode node;
    HostilePeer peer(node);
    peer.bootstrap().call(1, ECHO, [&](capnp::rpc::Call::Builder call) {
      auto entry = call.getParams().initCapTable(1)[0];
      if (kind == 0) entry.setNone();
      if (kind == 1) entry.setSenderHosted(7);
      if (kind == 2) entry.setSenderPromise(7);
      if (kind == 3) entry.setReceiverHosted(0);
      if (kind == 4) entry.initReceiverAnswer().setQuestionId(0);
      if (kind == 5) entry.initThirdPartyHosted().setVineId(7);
    });
    checkBroken(peer, NO_CAPABILITIES);
    CHECK(node.asked == 0);
  }
}

TEST_CASE("a capability pointer without a table fails the call at the serving node, and the stream goes on") {
  RpcServingNode node;
  HostilePeer peer(node);
  peer.bootstrap().call(1, ECHO, [](capnp::rpc::Call::Builder call) {
    capnp::BuilderCapabilityTable table;
    auto content = table.imbue(call.getParams().getContent()).initAsAnyStruct(0, 1);
    content.getPointerSection()[0].setAs<capnp::Capability>(somebody());
  });
  auto said = peer.failureOf(1);
  INFO(said.cStr());
  CHECK(has(said, "the call of echo holds a capability: only data crosses between nodes; audit id 1 at node-b"));
  CHECK(node.lastAudit().verdict == CallStatus::MALFORMED);
  CHECK(node.asked == 0);
  CHECK(peer.works(2));
}

TEST_CASE("messages that no call needs end the stream") {
  struct Attack {
    kj::StringPtr name;
    void (*fill)(Message::Builder);
  };
  const Attack attacks[] = {
      {"Provide", [](Message::Builder m) { m.initProvide().initTarget().setImportedCap(0); }},
      {"Accept", [](Message::Builder m) { m.initAccept(); }},
      {"Join", [](Message::Builder m) { m.initJoin().initTarget().setImportedCap(0); }},
      {"Resolve to a capability", [](Message::Builder m) { m.initResolve().initCap().setSenderHosted(1); }},
      {"Resolve to an exception", [](Message::Builder m) { m.initResolve().initException().setReason("x"); }},
      {"Disembargo",
       [](Message::Builder m) {
         auto disembargo = m.initDisembargo();
         disembargo.initTarget().setImportedCap(0);
         disembargo.initContext().setSenderLoopback(1);
       }},
      {"Return", [](Message::Builder m) { m.initReturn().initResults(); }},
      {"Unimplemented", [](Message::Builder m) { m.initUnimplemented().initCall(); }},
      {"obsolete Save", [](Message::Builder m) { m.initObsoleteSave(); }},
      {"obsolete Delete", [](Message::Builder m) { m.initObsoleteDelete(); }},
  };
  for (auto& attack : attacks) {
    CAPTURE(attack.name.cStr());
    RpcServingNode node;
    HostilePeer peer(node);
    peer.bootstrap();
    CHECK(peer.works(1));
    peer.send(attack.fill);
    checkBroken(peer, "of rpc.capnp: only data crosses between nodes");
  }
}

TEST_CASE("a peer that breaks a rule and reads nothing loses its stream a second later") {
  RpcServingNode node;
  HostilePeer peer(node, "node-a", false);
  peer.bootstrap().call(1, HANG);
  peer.send([](Message::Builder m) { m.initResolve().initCap().setSenderHosted(1); });
  node.sim.advance(999 * kj::MILLISECONDS);
  CHECK(node.state.cancelled == 1);  // what it had under way, at once
  CHECK(node.exporter->peersNow() == 1);
  node.sim.advance(1 * kj::MILLISECONDS);
  CHECK(node.exporter->peersNow() == 0);
  CHECK(node.exporter->counters().brokenStreams == 1);
}

TEST_CASE("a bootstrap that names an object ends the stream") {
  RpcServingNode node;
  HostilePeer peer(node);
  peer.send([](Message::Builder m) { m.initBootstrap().getDeprecatedObjectId().initAsAnyStruct(0, 0); });
  checkBroken(peer, "Bootstrap names an object");
}

TEST_CASE("a call on the result of a call, or on a field of the bootstrap's answer, ends the stream") {
  for (bool field : {false, true}) {
    RpcServingNode node;
    HostilePeer peer(node);
    peer.bootstrap().call(1, HANG).call(2, ECHO, [&](capnp::rpc::Call::Builder call) {
      auto answer = call.getTarget().getPromisedAnswer();
      if (field) {
        answer.initTransform(1)[0].setGetPointerField(0);
      } else {
        answer.setQuestionId(1);
      }
    });
    checkBroken(peer, "Call on the result of a call: results hold no capabilities");
    CHECK(node.state.cancelled == 1);  // what it had under way
  }
}

TEST_CASE("a call on a capability that was never given ends the stream") {
  RpcServingNode node;
  HostilePeer peer(node);
  peer.bootstrap().send([](Message::Builder m) {
    auto call = m.initCall();
    call.setQuestionId(1);
    call.initTarget().setImportedCap(1);
  });
  CHECK(peer.ended);
  checkBroken(peer, "not a current export");
}

TEST_CASE("a call whose results go elsewhere, or that wants none, ends the stream") {
  for (int kind = 0; kind < 3; kind++) {
    CAPTURE(kind);
    RpcServingNode node;
    HostilePeer peer(node);
    peer.bootstrap().call(1, ECHO, [&](capnp::rpc::Call::Builder call) {
      if (kind == 0) call.getSendResultsTo().setYourself();
      if (kind == 1) call.getSendResultsTo().initThirdParty();
      if (kind == 2) call.setOnlyPromisePipeline(true);
    });
    CHECK(peer.ended);
    CHECK(node.exporter->counters().brokenStreams == 1);
    CHECK(node.asked == 0);
  }
}

TEST_CASE("an unknown interface or method fails its call as unimplemented, with an audit record") {
  RpcServingNode node;
  HostilePeer peer(node);
  peer.bootstrap().callOf(0x1234, 1, ECHO).call(2, 99);
  for (uint32_t id : {1, 2}) {
    auto answer = KJ_ASSERT_NONNULL(peer.answerTo(id));
    CHECK(answer.getException().getType() == capnp::rpc::Exception::Type::UNIMPLEMENTED);
    CHECK(has(peer.failureOf(id), "rpc:gauge at node-b has no such method; audit id "));
  }
  CHECK(node.lastAudit().verdict == CallStatus::MALFORMED);
  CHECK(node.asked == 0);
  CHECK(peer.works(3));
}

TEST_CASE("a method that takes a capability is denied when it is called by hand with none") {
  RpcServingNode node;
  HostilePeer peer(node);
  peer.bootstrap().call(1, TAKE);
  CHECK(has(peer.failureOf(1), "denied: no rule of node-b allows take of rpc:gauge to node-a"));
}

TEST_CASE("a release of something unknown, or too often, ends the stream; a finish of something unknown does nothing") {
  RpcServingNode node;
  {
    HostilePeer peer(node);
    peer.bootstrap().finish(77);
    CHECK(peer.works(1));
    peer.send([](Message::Builder m) {
      auto release = m.initRelease();
      release.setId(5);
      release.setReferenceCount(1);
    });
    CHECK(peer.ended);
    CHECK(node.exporter->counters().brokenStreams == 1);
  }
  {
    HostilePeer peer(node);
    peer.bootstrap().send([](Message::Builder m) {
      auto release = m.initRelease();
      release.setId(0);
      release.setReferenceCount(1000);
    });
    CHECK(peer.ended);
    CHECK(node.exporter->counters().brokenStreams == 2);
  }
  {
    HostilePeer peer(node);
    peer.bootstrap().finish(0);
    peer.send([](Message::Builder m) {
      auto release = m.initRelease();
      release.setId(0);
      release.setReferenceCount(1);
    });
    // It gave up the service itself; it may ask again.
    peer.bootstrap(0);
    CHECK(peer.works(1));
  }
  CHECK(node.exporter->counters().brokenStreams == 2);
  CHECK(node.state.objects == 1);
}

TEST_CASE("a question id that is in use, or finished twice, ends the stream") {
  {
    RpcServingNode node;
    HostilePeer peer(node);
    peer.bootstrap().call(1, HANG).call(1, ECHO);
    checkBroken(peer, "a question id is in use");
  }
  {
    RpcServingNode node;
    HostilePeer peer(node);
    peer.bootstrap(0).bootstrap(0);
    checkBroken(peer, "a question id is in use");
  }
}

TEST_CASE("questions that are never finished are bounded") {
  RpcStreamLimits limits;
  limits.maxQuestions = 20;
  RpcServingNode node(limits);
  HostilePeer peer(node);
  peer.bootstrap();
  for (uint32_t id = 1; id < 20; id++) peer.call(id, FAIL);  // an exception is not closed until it is finished
  CHECK(!peer.ended);
  peer.call(20, FAIL);
  checkBroken(peer, "more than 20 questions are open");
}

TEST_CASE("bootstraps that are never finished are bounded by the same limit") {
  RpcStreamLimits limits;
  limits.maxQuestions = 4;
  RpcServingNode node(limits);
  HostilePeer peer(node);
  for (uint32_t id = 0; id < 4; id++) peer.bootstrap(id);
  CHECK(!peer.ended);
  peer.bootstrap(4);
  checkBroken(peer, "more than 4 questions are open");
}

TEST_CASE("a peer that asks and does not read is not read from either") {
  RpcStreamLimits limits;
  limits.maxBacklog = 4096;
  RpcServingNode node(limits, 1000000);
  HostilePeer peer(node, "node-a", false);
  peer.bootstrap();
  auto grow = [&](uint32_t id) {
    peer.call(id, GROW, [](capnp::rpc::Call::Builder call) {
      call.getParams().getContent().initAsAnyStruct(1, 0).getDataSection().asBytes()[1] = 8;  // 2048
    });
  };
  for (uint32_t id = 1; id <= 100; id++) grow(id);
  CHECK(node.state.calls < 10);  // the pipe keeps nothing: the rest waits at the peer
  CHECK(!peer.ended);
  peer.startReading();
  node.sim.settle();
  CHECK(node.state.calls == 100);
  CHECK(peer.works(200));
}

TEST_CASE("a message above the limit is never read whole") {
  RpcStreamLimits limits;
  limits.maxPayload = 4096;  // a message: four times that
  RpcServingNode node(limits);
  HostilePeer peer(node);
  peer.bootstrap();
  // The header of a message of 2 GiB; no byte of it follows.
  const uint32_t header[] = {0, 0x10000000};
  peer.writing = peer.stream.end->write(header, sizeof(header)).eagerlyEvaluate([](kj::Exception&&) {});
  node.sim.settle();
  checkBroken(peer, "too large");
}

TEST_CASE("many segments, truncated and random bytes end the stream") {
  for (kj::StringPtr hex :
       {"ffffff7f00000000", "0000000001000000ffffffffffffffff", "00000000020000000000000001000000"}) {
    CAPTURE(hex.cStr());
    RpcServingNode node;
    HostilePeer peer(node);
    auto bytes = kj::decodeHex(hex);
    peer.writing = peer.stream.end->write(bytes.begin(), bytes.size()).eagerlyEvaluate([](kj::Exception&&) {});
    node.sim.settle();
    peer.stream.end->shutdownWrite();
    node.sim.settle();
    CHECK(peer.ended);
    CHECK(node.exporter->callsOf("node-a") == 0);
  }
}

TEST_CASE("parameters that are nested too deeply fail the call") {
  RpcServingNode node;
  HostilePeer peer(node);
  peer.bootstrap().call(1, 5, [](capnp::rpc::Call::Builder call) {  // sum
    auto tree = call.getParams().getContent().initAsAnyStruct(0, 1).getPointerSection()[0].initAs<idl::Tree>();
    for (int i = 0; i < 40; i++) tree = tree.initChildren(1)[0];
  });
  CHECK(has(peer.failureOf(1), "the call of sum is not a well-formed message; audit id "));
  CHECK(node.lastAudit().verdict == CallStatus::MALFORMED);
  CHECK(node.asked == 0);
  CHECK(peer.works(2));
}

TEST_CASE("a peer whose calls are large is not read from while so many bytes of them are unanswered") {
  RpcStreamLimits limits;
  limits.maxPayload = 1024;  // the bound is four of them
  RpcServingNode node(limits);
  HostilePeer peer(node);
  peer.bootstrap();
  for (uint32_t id = 1; id <= 10; id++) {
    peer.call(id, HANG, [](capnp::rpc::Call::Builder call) { call.getParams().getContent().initAsAnyStruct(120, 0); });
  }
  CHECK(node.state.hanging == 4);
  node.sim.advance(limits.serviceDeadline);
  CHECK(node.state.cancelled == 4);
  CHECK(node.state.hanging == 4);
  CHECK(!peer.ended);
}

TEST_CASE("a flood of cancelled calls leaves nothing behind") {
  RpcServingNode node;
  HostilePeer peer(node);
  peer.bootstrap();
  for (uint32_t i = 0; i < 1000; i++) peer.call(1 + i % 50, HANG).finish(1 + i % 50);
  CHECK(!peer.ended);
  CHECK(node.state.hanging == 0);
  CHECK(node.exporter->callsOf("node-a") == 0);
  CHECK(peer.works(60));
}

TEST_CASE("a peer that ends its stream, or says that it gave up, broke no rule") {
  for (int kind = 0; kind < 3; kind++) {
    CAPTURE(kind);
    RpcServingNode node;
    HostilePeer peer(node);
    peer.bootstrap().call(1, HANG);
    if (kind == 0) peer.stream.end->shutdownWrite();
    if (kind == 1) peer.send([](Message::Builder m) { m.initAbort().setReason("RpcSystem was destroyed."); });
    if (kind == 2) {  // in the middle of a message
      const uint32_t header[] = {0, 100};
      peer.writing = peer.stream.end->write(header, sizeof(header));
      node.sim.settle();
      peer.stream.end->shutdownWrite();
    }
    node.sim.settle();
    CHECK(peer.ended);
    CHECK(node.state.cancelled == 1);
    CHECK(node.exporter->counters().brokenStreams == 0);
  }
}

// ---- a hostile serving end

class LogLines final : public kj::ExceptionCallback {
 public:
  kj::Vector<kj::String> lines;
  void logMessage(kj::LogSeverity, const char*, int, int, kj::String&& text) override { lines.add(kj::mv(text)); }
};

struct HostileServer {
  SimClock sim;
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  idl::Gauge::Client gauge = newRemoteService(kj::mv(pipe.ends[0]), sim.timer, "node-b").castAs<idl::Gauge>();
  capnp::AsyncIoMessageStream messages{*pipe.ends[1]};
  kj::Own<capnp::MessageReader> last;

  Message::Reader read() {
    last = sim.run(messages.readMessage());
    return last->getRoot<Message>();
  }
  template <typename Fill>
  void send(Fill&& fill) {
    capnp::MallocMessageBuilder builder;
    fill(builder.initRoot<Message>());
    sim.run(messages.writeMessage(builder).catch_([](kj::Exception&&) {}));
    sim.settle();
  }
  void answerBootstrap() {
    auto id = read().getBootstrap().getQuestionId();
    send([&](Message::Builder m) {
      auto answer = m.initReturn();
      answer.setAnswerId(id);
      auto results = answer.initResults();
      capnp::BuilderCapabilityTable table;
      table.imbue(results.getContent()).setAs<capnp::Capability>(somebody());
      results.initCapTable(1)[0].setSenderHosted(0);
    });
  }
};

TEST_CASE(
    "a serving end that answers with capabilities, or asks itself, loses its stream, and callers get DISCONNECTED") {
  for (int kind = 0; kind < 6; kind++) {
    CAPTURE(kind);
    LogLines log;
    HostileServer server;
    bool disconnected = false;
    auto call = server.gauge.giveRequest().send().then(
        [](auto&&) {}, [&](kj::Exception&& e) { disconnected = e.getType() == kj::Exception::Type::DISCONNECTED; });
    auto running = call.eagerlyEvaluate(nullptr);
    server.sim.settle();
    auto bootstrapId = server.read().getBootstrap().getQuestionId();
    auto callId = server.read().getCall().getQuestionId();
    CHECK(callId != bootstrapId);
    server.send([&](Message::Builder m) {
      if (kind == 0) {  // a second object
        auto answer = m.initReturn();
        answer.setAnswerId(callId);
        answer.initResults().initCapTable(1)[0].setSenderHosted(9);
      } else if (kind == 1) {  // the service as a promise, to be resolved to something else later
        auto answer = m.initReturn();
        answer.setAnswerId(bootstrapId);
        answer.initResults().initCapTable(1)[0].setSenderPromise(0);
      } else if (kind == 2) {
        m.initReturn().setAnswerId(1234);
      } else if (kind == 3) {
        m.initBootstrap().setQuestionId(0);
      } else if (kind == 4) {
        m.initCall().initTarget().setImportedCap(0);
      } else {
        auto answer = m.initReturn();
        answer.setAnswerId(callId);
        answer.setTakeFromOtherQuestion(bootstrapId);
      }
    });
    CHECK(disconnected);
    // Also when it does not read why.
    REQUIRE(log.lines.size() == 1);
    CHECK(has(log.lines[0], "a peer that serves calls broke a rule"));
    CHECK(has(log.lines[0], "peer = node-b"));
  }
}

bool isOneLine(kj::StringPtr text) {
  for (char c : text) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}

// Text for terminals, log files and whoever reads them.
kj::String nastyText() {
  return kj::str("x\r\ndsoftbusd: os session ok\n\x1b[2J\x1b]0;title\x07\x7f\xc2\x9b\xe2\x80\xae",
                 kj::repeat('y', 100000));
}

TEST_CASE("what a serving end says about a failure reaches programs as one line of printable text, of 1 KiB at most") {
  for (bool abort : {false, true}) {
    CAPTURE(abort);
    HostileServer server;
    kj::Maybe<kj::Exception> failure;
    auto running = server.gauge.echoRequest()
                       .send()
                       .then([](auto&&) {}, [&](kj::Exception&& e) { failure = kj::mv(e); })
                       .eagerlyEvaluate(nullptr);
    server.answerBootstrap();
    auto id = server.read().getCall().getQuestionId();
    server.send([&](Message::Builder m) {
      auto answer = m.initReturn();
      answer.setAnswerId(id);
      auto exception = abort ? m.initAbort() : answer.initException();
      exception.setReason(nastyText());
      exception.setTrace(nastyText());
      exception.setType(capnp::rpc::Exception::Type::OVERLOADED);
    });
    auto& what = KJ_ASSERT_NONNULL(failure);
    INFO(what.getDescription().cStr());
    CHECK(what.getType() == (abort ? kj::Exception::Type::DISCONNECTED : kj::Exception::Type::OVERLOADED));
    CHECK(what.getDescription().startsWith("remote exception: x??dsoftbusd: os session ok??[2J?]0;title???????yyy"));
    CHECK(what.getDescription().size() == RPC_MAX_FAILURE_TEXT);
    CHECK(isOneLine(what.getDescription()));
    CHECK(what.getRemoteTrace() == nullptr);
    CHECK(isOneLine(kj::str(what.getFile())));
  }
}

TEST_CASE("when a stream has ended with calls that were never answered, the next call is DISCONNECTED") {
  HostileServer server;
  kj::Vector<kj::Promise<void>> hanging;
  for (int i = 0; i < 32; i++) {
    hanging.add(server.gauge.hangRequest().send().ignoreResult().eagerlyEvaluate([](kj::Exception&&) {}));
  }
  auto failure = [&] {
    return server.sim.run(server.gauge.echoRequest().send().dropPipeline().then(
        [](auto&&) { return kj::Exception::Type::UNIMPLEMENTED; }, [](kj::Exception&& e) { return e.getType(); }));
  };
  auto sink = server.pipe.ends[1]->readAllBytes().eagerlyEvaluate(nullptr);
  server.sim.settle();
  CHECK(failure() == kj::Exception::Type::OVERLOADED);
  hanging.clear();  // given up here; the peer says nothing
  CHECK(failure() == kj::Exception::Type::OVERLOADED);
  server.pipe.ends[1]->shutdownWrite();
  server.sim.settle();
  CHECK(failure() == kj::Exception::Type::DISCONNECTED);
}

TEST_CASE("the same when the peer broke a rule and does not even read that it did") {
  HostileServer server;
  kj::Vector<kj::Promise<void>> hanging;
  for (int i = 0; i < 32; i++) {
    hanging.add(server.gauge.hangRequest().send().ignoreResult().eagerlyEvaluate([](kj::Exception&&) {}));
  }
  server.sim.settle();
  server.send([](Message::Builder m) { m.initResolve().initCap().setSenderHosted(1); });
  auto kind = server.sim.run(server.gauge.echoRequest().send().dropPipeline().then(
      [](auto&&) { return kj::Exception::Type::UNIMPLEMENTED; }, [](kj::Exception&& e) { return e.getType(); }));
  CHECK(kind == kj::Exception::Type::DISCONNECTED);
}

TEST_CASE("a service that the peer refuses to give fails each call with the peer's words, not only the first ones") {
  HostileServer server;
  auto first = server.gauge.echoRequest().send().ignoreResult().eagerlyEvaluate([](kj::Exception&&) {});
  auto id = server.read().getBootstrap().getQuestionId();
  server.send([&](Message::Builder m) {
    auto answer = m.initReturn();
    answer.setAnswerId(id);
    answer.initException().setReason("not today");
  });
  for (int i = 0; i < 40; i++) {
    auto text = server.sim.run(server.gauge.echoRequest().send().dropPipeline().then(
        [](auto&&) { return kj::str(); }, [](kj::Exception&& e) { return kj::str(e.getDescription()); }));
    CHECK(text == "remote exception: not today");
  }
}

TEST_CASE("an answer with a capability pointer and no table fails at the calling node") {
  HostileServer server;
  kj::String failure;
  auto call = server.gauge.giveRequest().send().then([](auto&&) {},
                                                     [&](kj::Exception&& e) { failure = kj::str(e.getDescription()); });
  auto running = call.eagerlyEvaluate(nullptr);
  server.answerBootstrap();
  auto id = server.read().getCall().getQuestionId();
  server.send([&](Message::Builder m) {
    auto answer = m.initReturn();
    answer.setAnswerId(id);
    capnp::BuilderCapabilityTable table;
    auto content = table.imbue(answer.initResults().getContent()).initAsAnyStruct(0, 1);
    content.getPointerSection()[0].setAs<capnp::Capability>(somebody());
  });
  CHECK(has(failure, "the peer's answer holds a capability: only data crosses between nodes"));
}

}  // namespace
}  // namespace nexus
