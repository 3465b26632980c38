#include "daemons/dsoftbusd/remote/image-server.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/remote/image-fetch.h"
#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

class BundlemgrStandIn final : public idl::Bundlemgr::Server {
 public:
  enum class Mode { ANSWER, FAIL, HANG };
  BundlemgrStandIn(Mode& mode, size_t& bytes) : mode(mode), bytes(bytes) {}

  kj::Promise<void> fetchImage(FetchImageContext context) override {
    if (mode == Mode::FAIL) return KJ_EXCEPTION(FAILED, "the store exceeds a bound");
    if (mode == Mode::HANG) return kj::NEVER_DONE;
    auto image = context.getResults().initImage(bytes);
    for (auto i : kj::indices(image)) image[i] = i * 13 + (i >> 9);
    return kj::READY_NOW;
  }

 private:
  Mode& mode;
  size_t& bytes;
};

class CountingSink final : public ImageSink {
 public:
  void write(kj::ArrayPtr<const kj::byte> bytes) override { received += bytes.size(); }
  void commit() override { committed = true; }
  uint64_t received = 0;
  bool committed = false;
};

// Tells whether it was aborted.
class WatchedStream final : public kj::AsyncIoStream {
 public:
  WatchedStream(kj::Own<kj::AsyncIoStream> inner, bool& aborted) : inner(kj::mv(inner)), aborted(aborted) {}
  kj::Promise<size_t> tryRead(void* buffer, size_t min, size_t max) override {
    return inner->tryRead(buffer, min, max);
  }
  kj::Promise<void> write(const void* buffer, size_t size) override { return inner->write(buffer, size); }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return inner->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner->whenWriteDisconnected(); }
  void shutdownWrite() override { inner->shutdownWrite(); }
  void abortRead() override {
    aborted = true;
    inner->abortRead();
  }

 private:
  kj::Own<kj::AsyncIoStream> inner;
  bool& aborted;
};

struct Fixture {
  SimClock sim;
  BundlemgrStandIn::Mode mode = BundlemgrStandIn::Mode::ANSWER;
  size_t bytes = 5 * 1024 * 1024 + 1;
  ImageServer server{sim.timer, [this]() -> idl::Bundlemgr::Client { return kj::heap<BundlemgrStandIn>(mode, bytes); }};
  kj::Vector<kj::Own<kj::AsyncIoStream>> peers;

  kj::Promise<CallStatus> serve(kj::StringPtr peer) {
    auto pipe = kj::newTwoWayPipe();
    peers.add(kj::mv(pipe.ends[1]));
    return server.serve(peer, kj::mv(pipe.ends[0])).eagerlyEvaluate(nullptr);
  }
  kj::OneOf<FetchedImage, ImageFault> fetch(size_t peer, ImageSink& sink) {
    return sim.run(fetchImage(kj::mv(peers[peer]), sink, sim.timer));
  }
};

TEST_CASE("an image of several MiB is sent and received whole") {
  Fixture f;
  auto serving = f.serve("node-a");
  CountingSink sink;
  auto result = f.fetch(0, sink);
  REQUIRE(result.is<FetchedImage>());
  CHECK(result.get<FetchedImage>().bytes == f.bytes);
  CHECK(sink.received == f.bytes);
  CHECK(sink.committed);
  CHECK(f.sim.run(kj::mv(serving)) == CallStatus::OK);
  CHECK(f.server.transfersNow() == 0);
}

TEST_CASE("a bundlemgrd that fails, and one that does not answer, is told to the peer as a failure") {
  for (auto mode : {BundlemgrStandIn::Mode::FAIL, BundlemgrStandIn::Mode::HANG}) {
    Fixture f;
    f.mode = mode;
    auto serving = f.serve("node-a");
    if (mode == BundlemgrStandIn::Mode::HANG) f.sim.advance(9 * kj::SECONDS);
    CountingSink sink;
    CHECK(f.fetch(0, sink).get<ImageFault>() == ImageFault::FAILED);
    CHECK(f.sim.run(kj::mv(serving)) == CallStatus::BACKEND_FAILED);
  }
}

TEST_CASE("one transfer for a peer, four in all; one more is told that the node is busy") {
  Fixture f;
  kj::Vector<kj::Promise<CallStatus>> serving;
  for (auto peer : {"a"_kj, "b"_kj, "c"_kj}) serving.add(f.serve(peer));
  f.sim.advance(1 * kj::SECONDS);
  auto again = f.serve("b");
  CountingSink sink;
  CHECK(f.fetch(3, sink).get<ImageFault>() == ImageFault::BUSY);
  CHECK(f.sim.run(kj::mv(again)) == CallStatus::RATE_LIMITED);
  serving.add(f.serve("d"));
  f.sim.advance(1 * kj::SECONDS);
  CHECK(f.server.transfersNow() == 4);
  auto fifth = f.serve("e");
  CHECK(f.fetch(5, sink).get<ImageFault>() == ImageFault::BUSY);
  CHECK(f.sim.run(kj::mv(fifth)) == CallStatus::RATE_LIMITED);
  // A transfer that is given up makes room.
  serving[0] = nullptr;
  CHECK(f.server.transfersNow() == 3);
  auto sixth = f.serve("e");
  CHECK(f.fetch(6, sink).is<FetchedImage>());
}

TEST_CASE("a peer that does not read is given up after ten seconds, what it did not read is dropped") {
  Fixture f;
  bool aborted = false;
  auto pipe = kj::newTwoWayPipe();
  auto serving = f.server.serve("node-a", kj::heap<WatchedStream>(kj::mv(pipe.ends[0]), aborted));
  auto before = f.sim.timer.now();
  CHECK(f.sim.run(kj::mv(serving)) == CallStatus::TIMED_OUT);
  CHECK(f.sim.timer.now() - before == ImageServer::STALL);
  CHECK(f.server.transfersNow() == 0);
  CHECK(aborted);
}

TEST_CASE("a transfer that went well is not aborted: what was written is still to be read") {
  Fixture f;
  bool aborted = false;
  auto pipe = kj::newTwoWayPipe();
  auto serving =
      f.server.serve("node-a", kj::heap<WatchedStream>(kj::mv(pipe.ends[0]), aborted)).eagerlyEvaluate(nullptr);
  CountingSink sink;
  CHECK(f.sim.run(fetchImage(kj::mv(pipe.ends[1]), sink, f.sim.timer)).is<FetchedImage>());
  CHECK(f.sim.run(kj::mv(serving)) == CallStatus::OK);
  CHECK_FALSE(aborted);
}

TEST_CASE("a peer that goes away in the middle is a cancelled transfer") {
  Fixture f;
  auto serving = f.serve("node-a");
  kj::byte some[100];
  f.sim.run(f.peers[0]->read(some, sizeof(some)));
  f.peers[0] = nullptr;
  CHECK(f.sim.run(kj::mv(serving)) == CallStatus::CANCELLED);
  CHECK(f.server.transfersNow() == 0);
}

}  // namespace
}  // namespace nexus
