// The guard alone, between a pipe and a caller that reads and writes messages as the RPC system does.
#include "daemons/dsoftbusd/schema-rpc/rpc-guard.h"

#include <doctest/doctest.h>
#include <string.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

using capnp::rpc::Message;

constexpr size_t MAX_BACKLOG = 512;

struct Fixture {
  SimClock sim;
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  RpcGuard guard;
  capnp::AsyncIoMessageStream peer{*pipe.ends[1]};

  explicit Fixture(RpcEnd end) : guard(*pipe.ends[0], end, 8, MAX_BACKLOG) {}

  template <typename Fill>
  static kj::Own<capnp::MallocMessageBuilder> make(Fill&& fill) {
    auto message = kj::heap<capnp::MallocMessageBuilder>(1024);
    fill(message->initRoot<Message>());
    return message;
  }
  // A message of exactly that many bytes that either end may send.
  static kj::Own<capnp::MallocMessageBuilder> abortOf(size_t bytes) {
    auto empty = make([](Message::Builder m) { m.initAbort().initReason(0); });
    auto text = bytes - empty->sizeInWords() * sizeof(capnp::word);
    auto message = make([&](Message::Builder m) { m.initAbort().initReason(text + 7); });
    CHECK(message->sizeInWords() * sizeof(capnp::word) == bytes);
    return message;
  }

  kj::Promise<void> write(capnp::MallocMessageBuilder& message, bool asBatch) {
    auto segments = message.getSegmentsForOutput();
    if (!asBatch) return guard.writeMessage(nullptr, segments);
    auto batch = kj::heapArray<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>>({segments});
    auto promise = guard.writeMessages(batch);
    return promise.attach(kj::mv(batch));
  }
};

TEST_CASE("what this end itself must not send is not written") {
  for (auto end : {RpcEnd::SERVING, RpcEnd::CALLING}) {
    for (bool asBatch : {false, true}) {
      CAPTURE(asBatch);
      Fixture f(end);
      auto resolve = f.make([](Message::Builder m) { m.initResolve().initCap().setSenderHosted(1); });
      kj::String failure;
      auto writing =
          f.write(*resolve, asBatch).eagerlyEvaluate([&](kj::Exception&& e) { failure = kj::str(e.getDescription()); });
      f.sim.settle();
      CHECK(strstr(failure.cStr(), "this end would break a rule of calls between nodes") != nullptr);
      auto arrived = f.peer.tryReadMessage();
      CHECK(!arrived.poll(f.sim.waitScope));
      CHECK(!f.guard.wasBroken());
    }
  }
}

TEST_CASE("a serving end reads while no more than the bound waits to be written, a calling end always") {
  for (auto end : {RpcEnd::SERVING, RpcEnd::CALLING}) {
    for (size_t bytes : {MAX_BACKLOG, MAX_BACKLOG + 8}) {
      for (bool asBatch : {false, true}) {
        CAPTURE(bytes);
        CAPTURE(asBatch);
        Fixture f(end);
        bool reads = end == RpcEnd::CALLING || bytes == MAX_BACKLOG;
        auto large = f.abortOf(bytes);
        auto writing = f.write(*large, asBatch).eagerlyEvaluate(nullptr);
        auto small = f.abortOf(64);
        auto sending = f.peer.writeMessage(*small).eagerlyEvaluate(nullptr);
        auto reading = f.guard.tryReadMessage(nullptr, {}, nullptr);
        f.sim.settle();
        CHECK(reading.poll(f.sim.waitScope) == reads);
        f.sim.run(f.peer.readMessage());
        CHECK(reading.poll(f.sim.waitScope));
        CHECK(reading.wait(f.sim.waitScope) != nullptr);
      }
    }
  }
}

}  // namespace
}  // namespace nexus
