// Two nodes with a bus of their own, and programs at both ends; then the same with an end or a stream that does not
// keep its promises, which every step must notice.
#include "selftest/mux-steps.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <string>

#include "daemons/dsoftbusd/bus/bus-fixture.h"
#include "daemons/dsoftbusd/server/dsoftbus-server.h"

namespace nexus {
namespace {

constexpr kj::StringPtr TRUSTED_BY_A[] = {"node-b"_kj}, TRUSTED_BY_B[] = {"node-a"_kj};

// How a stream between program and bus lies.
struct Lie {
  kj::StringPtr stream = ""_kj;              // which one
  kj::Maybe<uint64_t> flipRead = nullptr;    // another bit in the byte at that place
  kj::Maybe<uint64_t> swallow = nullptr;     // the write that holds that place never leaves
  bool takesEverything = false;              // a write returns at once, however much waits
  kj::Maybe<uint64_t> stopsEarly = nullptr;  // no write beyond that place ever returns
};

class LyingStream final : public idl::MuxStream::Server {
 public:
  LyingStream(idl::MuxStream::Client inner, const Lie& lie) : inner(kj::mv(inner)), lie(lie) {}

  kj::Promise<void> write(WriteContext context) override {
    auto data = kj::heapArray(context.getParams().getData());
    uint64_t from = written;
    written += data.size();
    KJ_IF_MAYBE (at, lie.stopsEarly) {
      if (written > *at) return kj::NEVER_DONE;
    }
    KJ_IF_MAYBE (at, lie.swallow) {
      if (from <= *at && *at < written) return kj::READY_NOW;
    }
    auto forward = [this, data = kj::mv(data)]() mutable {
      auto request = inner.writeRequest();
      request.setData(data);
      return request.send().ignoreResult();
    };
    if (!lie.takesEverything) return forward();
    queue = queue.then(kj::mv(forward)).eagerlyEvaluate(nullptr);
    return kj::READY_NOW;
  }

  kj::Promise<void> read(ReadContext context) override {
    auto request = inner.readRequest();
    request.setMaxBytes(context.getParams().getMaxBytes());
    auto response = co_await request.send();
    auto data = kj::heapArray<kj::byte>(response.getData());
    KJ_IF_MAYBE (at, lie.flipRead) {
      if (wasRead <= *at && *at < wasRead + data.size()) data[*at - wasRead] ^= 1;
    }
    wasRead += data.size();
    context.getResults().setData(data);
  }

  kj::Promise<void> close(CloseContext) override {
    if (lie.takesEverything) {
      queue = queue.then([this] { return inner.closeRequest().send().ignoreResult(); }).eagerlyEvaluate(nullptr);
      return kj::READY_NOW;
    }
    return inner.closeRequest().send().ignoreResult();
  }
  kj::Promise<void> reset(ResetContext) override { return inner.resetRequest().send().ignoreResult(); }

 private:
  idl::MuxStream::Client inner;
  const Lie& lie;
  uint64_t written = 0, wasRead = 0;
  kj::Promise<void> queue = kj::READY_NOW;
};

class LyingSession final : public idl::PeerSession::Server {
 public:
  LyingSession(idl::PeerSession::Client inner, const Lie& lie) : inner(kj::mv(inner)), lie(lie) {}

  kj::Promise<void> openStream(OpenStreamContext context) override {
    auto request = inner.openStreamRequest();
    request.setName(context.getParams().getName());
    request.setPriority(context.getParams().getPriority());
    auto name = kj::str(context.getParams().getName());
    auto response = co_await request.send();
    context.getResults().setOutcome(response.getOutcome());
    if (response.hasStream()) context.getResults().setStream(wrapped(name, response.getStream()));
  }
  kj::Promise<void> acceptStream(AcceptStreamContext context) override {
    auto response = co_await inner.acceptStreamRequest().send();
    context.getResults().setName(response.getName());
    context.getResults().setPriority(response.getPriority());
    context.getResults().setStream(wrapped(response.getName(), response.getStream()));
  }

 private:
  idl::PeerSession::Client inner;
  const Lie& lie;
  idl::MuxStream::Client wrapped(kj::StringPtr name, idl::MuxStream::Client stream) {
    if (name != lie.stream) return stream;
    return kj::heap<LyingStream>(kj::mv(stream), lie);
  }
};

class LyingBus final : public idl::DSoftBus::Server {
 public:
  LyingBus(idl::DSoftBus::Client inner, const Lie& lie) : inner(kj::mv(inner)), lie(lie) {}
  kj::Promise<void> session(SessionContext context) override {
    auto request = inner.sessionRequest();
    request.setPeer(context.getParams().getPeer());
    auto response = co_await request.send();
    context.getResults().setOutcome(response.getOutcome());
    if (response.hasSession()) context.getResults().setSession(kj::heap<LyingSession>(response.getSession(), lie));
  }

 private:
  idl::DSoftBus::Client inner;
  const Lie& lie;
};

using Step = kj::Promise<void> (MuxSteps::*)();

struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<BusNode> a, b;
  BusObserver observer;
  kj::String linkName = kj::str("net");
  kj::Own<Discovery> discoveryA, discoveryB;
  Lie lieA, lieB;
  kj::Own<MuxSteps> initiator, responder;

  Fixture() {
    network.addNode("node-a", IpAddress::v4(10, 42, 0, 10));
    network.addNode("node-b", IpAddress::v4(10, 42, 0, 11));
    a = kj::heap<BusNode>(sim, network, "node-a", IpAddress::v4(10, 42, 0, 10), kj::arrayPtr(TRUSTED_BY_A, 1));
    b = kj::heap<BusNode>(sim, network, "node-b", IpAddress::v4(10, 42, 0, 11), kj::arrayPtr(TRUSTED_BY_B, 1));
    discoveryA = newDiscovery(*a);
    discoveryB = newDiscovery(*b);
    initiator = newMuxInitiator([this] { return bus(*a, *discoveryA, lieA); }, "node-b");
    responder = newMuxResponder([this] { return bus(*b, *discoveryB, lieB); }, "node-a");
    a->knows(*b);
  }

  kj::Own<Discovery> newDiscovery(BusNode& node) {
    Announce own{kj::str(node.own.deviceId()), BusNode::PORT, node.own.publicIdentity().staticKey, nullptr};
    return kj::heap<Discovery>(sim.timer, DiscoverySettings(), kj::mv(own), kj::arrayPtr(&linkName, 1), node.trust,
                               node.audit, observer, [](kj::StringPtr, kj::ArrayPtr<const PeerRoute>) {});
  }
  idl::DSoftBus::Client bus(BusNode& node, Discovery& discovery, const Lie& lie) {
    auto real = newDSoftBusServer(*node.bus, discovery, node.audit, sim.timer,
                                  [&node] { return PolicyTable{node.trust.all(), node.rules}; });
    return kj::heap<LyingBus>(kj::mv(real), lie);
  }

  // What each end says at the end of the step; empty when it passed, "still waits" when it is not through.
  struct Said {
    std::string initiator, responder;
  };
  Said run(Step step) {
    Said said{"still waits", "still waits"};
    auto watch = [](kj::Promise<void> promise, std::string& text) {
      return promise
          .then([&text] { text = ""; }, [&text](kj::Exception&& e) { text = kj::str(e.getDescription()).cStr(); })
          .eagerlyEvaluate(nullptr);
    };
    auto first = watch(kj::evalNow([&] { return ((*initiator).*step)(); }), said.initiator);
    auto second = watch(kj::evalNow([&] { return ((*responder).*step)(); }), said.responder);
    sim.advance(20 * kj::SECONDS);
    return said;
  }
  void passes(Step step) {
    auto said = run(step);
    CHECK(said.initiator == "");
    CHECK(said.responder == "");
  }
  void upTo(Step last) {
    for (auto step : {&MuxSteps::open, &MuxSteps::data, &MuxSteps::priority, &MuxSteps::bulk}) {
      if (step == last) return;
      passes(step);
    }
  }
};

TEST_CASE("two nodes that keep their promises pass every step, in the order of the ladder") {
  Fixture f;
  f.passes(&MuxSteps::open);
  f.passes(&MuxSteps::data);
  f.passes(&MuxSteps::priority);
  f.passes(&MuxSteps::bulk);
  f.passes(&MuxSteps::backpressure);
}

TEST_CASE("the pattern tells every place of a stream from every other, and one stream from another") {
  kj::byte whole[64], part[20];
  fillPattern(7, 1000, whole);
  fillPattern(7, 1013, part);
  CHECK(kj::arrayPtr(whole, 64).slice(13, 33) == kj::arrayPtr(part, 20));
  kj::byte later[64], other[64];
  fillPattern(7, 1000 + 65536, later);
  fillPattern(8, 1000, other);
  CHECK(kj::arrayPtr(later, 64) != kj::arrayPtr(whole, 64));
  CHECK(kj::arrayPtr(other, 64) != kj::arrayPtr(whole, 64));
  part[3] ^= 4;
  auto failure = kj::runCatchingExceptions([&] { requirePattern(7, 1013, part); });
  CHECK(KJ_ASSERT_NONNULL(failure).getDescription() == "byte 1016 of the stream is not the one that was sent");
}

TEST_CASE("without a session, or with the first step failed, each step says so") {
  Fixture f;
  CHECK(f.run(&MuxSteps::data).initiator == "the first mux step opened no control stream");
  CHECK(f.run(&MuxSteps::bulk).initiator == "the first mux step found no session");
}

TEST_CASE("one wrong byte of data fails the end that reads it, either way") {
  auto said = [](bool there) {
    Fixture f;
    (there ? f.lieB : f.lieA) = Lie{.stream = MuxSteps::CONTROL, .flipRead = 39999};
    f.upTo(&MuxSteps::data);
    return f.run(&MuxSteps::data);
  };
  CHECK(said(true).responder == "byte 39999 of the stream is not the one that was sent");
  CHECK(said(false).initiator == "byte 39999 of the stream is not the one that was sent");
}

TEST_CASE("a bulk that is not kept full does not pass the priority step") {
  Fixture f;
  f.upTo(&MuxSteps::priority);
  f.lieA = Lie{.stream = MuxSteps::PRIORITY, .stopsEarly = MuxSteps::WARM_UP + 1};  // so much is never ahead
  CHECK(f.run(&MuxSteps::priority).initiator == "still waits");
}

TEST_CASE("a bulk of the priority step that loses a part fails at both ends") {
  Fixture f;
  f.upTo(&MuxSteps::priority);
  f.lieA = Lie{.stream = MuxSteps::PRIORITY, .swallow = 600000};
  auto said = f.run(&MuxSteps::priority);
  CHECK(said.responder == "byte 589824 of the stream is not the one that was sent");
  CHECK(said.initiator != "");
}

TEST_CASE("a bulk transfer with one wrong bit has another hash at both ends") {
  Fixture f;
  f.upTo(&MuxSteps::bulk);
  f.lieB = Lie{.stream = MuxSteps::BULK, .flipRead = 1000000};
  auto said = f.run(&MuxSteps::bulk);
  CHECK(said.responder == "what arrived has another hash");
  CHECK(said.initiator == "the peer has another hash of what was sent");
}

TEST_CASE("a bulk transfer that is short is told from one with another content") {
  Fixture f;
  f.upTo(&MuxSteps::bulk);
  f.lieA = Lie{.stream = MuxSteps::BULK, .swallow = 1 << 19};
  auto said = f.run(&MuxSteps::bulk);
  CHECK(said.responder == "of 1048576 bytes 1015808 arrived");
  CHECK(said.initiator == "the peer has another hash of what was sent");
}

TEST_CASE("a stream that takes more than its bound fails the backpressure step, with how much it took") {
  Fixture f;
  f.upTo(&MuxSteps::backpressure);
  f.lieA = Lie{.stream = MuxSteps::PRESSURE, .takesEverything = true};
  CHECK(f.run(&MuxSteps::backpressure).initiator == "a stream that nobody reads took 524288 bytes; the bound is 65536");
}

TEST_CASE("a stream that stops below its bound never gets past the backpressure step") {
  Fixture f;
  f.upTo(&MuxSteps::backpressure);
  f.lieA = Lie{.stream = MuxSteps::PRESSURE, .stopsEarly = MuxSteps::FIRST_BOUND - 1};
  CHECK(f.run(&MuxSteps::backpressure).initiator == "still waits");
}

TEST_CASE("bytes that are lost while the writer is stopped fail the backpressure step") {
  Fixture f;
  f.upTo(&MuxSteps::backpressure);
  f.lieA = Lie{.stream = MuxSteps::PRESSURE, .swallow = (1 << 19) - 1};  // the last chunk
  auto said = f.run(&MuxSteps::backpressure);
  CHECK(said.responder == "of 524288 bytes 491520 arrived");
  CHECK(said.initiator == "of 524288 bytes 491520 arrived");
}

}  // namespace
}  // namespace nexus
