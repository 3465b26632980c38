// What sessions and streams cost, in bytes of heap, both ends in this process. The bounds are those of
// docs/distributed/dsoftbus-mux.md.
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/memory/counted-heap.h"
#include "daemons/dsoftbusd/session/handshake.h"
#include "daemons/dsoftbusd/session/session.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

constexpr size_t IDLE_SESSION = 32 << 10;   // one end, without the transport
constexpr size_t IDLE_STREAM = 1 << 10;     // one end, held by a program
constexpr size_t UNREAD_STREAM = 96 << 10;  // one end, the peer has used up the first window and nobody reads

constexpr size_t PEERS = 64, STREAMS = 128;

class OpenDoor final : public RequestHandler {
 public:
  kj::Promise<RemoteReply> handle(kj::ArrayPtr<const char>, kj::ArrayPtr<const kj::byte>) override {
    return RemoteReply{CallStatus::OK, 1, nullptr};
  }
  MuxAdmission admitStream(kj::StringPtr) override { return {true, 0}; }
};

struct Ends {
  kj::Own<Session> sessions[2];
  kj::Promise<void> running[2] = {nullptr, nullptr};
};
using StreamEnds = kj::Vector<kj::Own<MuxStream>>;

struct Fixture {
  SimClock sim;
  FixedEntropy entropy{3};
  DeviceIdentity client = DeviceIdentity::forTest("client"), server = DeviceIdentity::forTest("server");
  OpenDoor handler;

  kj::Own<Ends> connect() {
    auto pipe = kj::newTwoWayPipe();
    auto responding = respondToHandshake(kj::mv(pipe.ends[1]), server, sim.timer, entropy);
    auto initiated = sim.run(
        initiateHandshake(kj::mv(pipe.ends[0]), client, ExpectedPeer::of(server.publicIdentity()), sim.timer, entropy));
    auto ends = kj::heap<Ends>();
    start(*ends, 0, kj::mv(initiated.get<HandshakeDone>().channel), MuxRole::INITIATOR);
    auto responded = sim.run(kj::mv(responding));
    start(*ends, 1, kj::mv(responded.get<HandshakeDone>().channel), MuxRole::RESPONDER);
    sim.settle();
    KJ_ASSERT(ends->sessions[0]->isLive() && ends->sessions[1]->isLive());
    return ends;
  }

  void start(Ends& ends, int which, kj::Own<RecordChannel> channel, MuxRole role) {
    ends.sessions[which] =
        kj::refcounted<Session>(kj::mv(channel), role, static_cast<RequestHandler&>(handler), sim.timer, [] {});
    ends.running[which] = ends.sessions[which]->run().ignoreResult().eagerlyEvaluate(nullptr);
  }

  // Both ends of each.
  StreamEnds openStreams(Ends& ends, size_t count) {
    StreamEnds streams;
    for (size_t i = 0; i < count; i++) {
      auto opened = ends.sessions[0]->mux().open(kj::str("stream/", i), i % MUX_PRIORITIES);
      streams.add(kj::mv(opened.get<kj::Own<MuxStream>>()));
      streams.add(sim.run(ends.sessions[1]->mux().accept()));
    }
    return streams;
  }
};

// Bytes of heap that `work` leaves behind.
template <typename Work>
size_t heldBy(Work&& work) {
  auto before = countedHeapBytes();
  work();
  auto after = countedHeapBytes();
  return after > before ? after - before : 0;
}

TEST_CASE("an idle session has its bound, and an idle stream") {
  Fixture f;
  auto warm = f.connect();  // whatever is allocated once
  kj::Vector<kj::Own<Ends>> peers(16);
  auto session = heldBy([&] {
                   for (int i = 0; i < 16; i++) peers.add(f.connect());
                 }) /
                 (16 * 2);
  MESSAGE("an idle session: ", session, " bytes");
  CHECK(session <= IDLE_SESSION);
  CHECK(session > 1000);  // it is counted at all
  StreamEnds streams(2 * STREAMS);
  auto stream = heldBy([&] { streams = f.openStreams(*peers[0], STREAMS); }) / (2 * STREAMS);
  MESSAGE("an idle stream: ", stream, " bytes");
  CHECK(stream <= IDLE_STREAM);
  CHECK(stream > 100);
}

TEST_CASE("64 peers with 128 streams each are live at once, carry data on all of them, and leave nothing behind") {
  Fixture f;
  {
    auto warm = f.connect();
  }
  auto before = countedHeapBytes();
  {
    kj::Vector<kj::Own<Ends>> peers(PEERS);
    kj::Vector<StreamEnds> streams(PEERS);
    for (size_t i = 0; i < PEERS; i++) {
      peers.add(f.connect());
      streams.add(f.openStreams(*peers.back(), STREAMS));
    }
    auto piece = kj::heapArray<kj::byte>(3000), got = kj::heapArray<kj::byte>(3000);
    for (size_t i = 0; i < PEERS; i++) {
      for (size_t s = 0; s < STREAMS; s++) {
        for (size_t at = 0; at < piece.size(); at++) piece[at] = i * 7 + s * 13 + at;
        auto &near = *streams[i][2 * s], &far = *streams[i][2 * s + 1];
        f.sim.run(near.write(piece.begin(), piece.size()));
        f.sim.run(far.read(got.begin(), got.size()));
        REQUIRE(got == piece);
        f.sim.run(far.write(got.begin(), 100));
        f.sim.run(near.read(got.begin(), 100));
        REQUIRE(got.slice(0, 100) == piece.slice(0, 100));
      }
    }
    for (auto& ends : peers) {
      for (auto& session : ends->sessions) REQUIRE(session->mux().core().streamCount() == STREAMS);
    }
    auto held = countedHeapBytes() - before;
    MESSAGE("64 x 128 streams, both ends: ", held, " bytes");
    CHECK(held <= 2 * PEERS * (IDLE_SESSION + STREAMS * IDLE_STREAM));  // data that was read leaves nothing
  }
  f.sim.settle();
  CHECK(countedHeapBytes() <= before + 4096);
}

TEST_CASE("a peer that fills every stream while nobody reads holds no more than the first windows") {
  Fixture f;
  auto ends = f.connect();
  auto streams = f.openStreams(*ends, STREAMS);
  auto block = kj::heapArray<kj::byte>(MUX_MAX_BUFFER);
  memset(block.begin(), 'x', block.size());
  kj::Vector<kj::Promise<void>> writing(STREAMS);
  auto held = heldBy([&] {
    for (size_t s = 0; s < STREAMS; s++) {
      writing.add(streams[2 * s]->write(block.begin(), block.size()).eagerlyEvaluate(nullptr));
    }
    f.sim.settle();
  });
  MESSAGE("an unread stream, both ends: ", held / STREAMS, " bytes");
  CHECK(ends->sessions[1]->mux().core().counters().bytesReceived == STREAMS * MUX_INITIAL_CREDIT);
  CHECK(held >= STREAMS * MUX_INITIAL_CREDIT);
  CHECK(held <= STREAMS * UNREAD_STREAM);
  // In single bytes it costs no more than twice as much.
  auto one = f.connect();
  auto single = f.openStreams(*one, 1);
  held = heldBy([&] {
    for (size_t i = 0; i < MUX_INITIAL_CREDIT; i++) f.sim.run(single[0]->write("y", 1));
    f.sim.settle();
  });
  CHECK(held <= 2 * UNREAD_STREAM);
  writing.clear();
}

}  // namespace
}  // namespace nexus
