// How 128 streams that all have data share a session: what each priority gets, beside what the rule of
// mux-scheduler.h says. Priority 0 has 8 turns, then one goes to 1 to 7 in a circle; a turn of full streams is one
// record of 32768 bytes. The rule is about what is handed to the transport: one that holds more than the credit of the
// streams of priority 0 (4 MiB here) leaves them without, and what is left over goes to the others.
#include <doctest/doctest.h>
#include <kj/debug.h>

#include <algorithm>
#include <cstdio>

#include "daemons/dsoftbusd/benchmark/benchmark-support.h"

namespace nexus {
namespace {

constexpr kj::uint STREAMS = 128, EACH = STREAMS / MUX_PRIORITIES;
constexpr size_t WARM_UP = 32 << 20, COUNTED = 192 << 20, BLOCK = 128 << 10;  // bytes

kj::Promise<void> writeForEver(kj::Own<MuxStream> stream, kj::ArrayPtr<const kj::byte> block) {
  for (;;) co_await stream->write(block.begin(), block.size());
}

// All streams are open before the first byte; writing ends with the session.
void sendAll(kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> transport) {
  OpenDoor door;
  auto live = startSession(io, kj::mv(transport), MuxRole::INITIATOR, door);
  kj::Vector<kj::Own<MuxStream>> streams;
  for (kj::uint i = 0; i < STREAMS; i++) {
    auto opened = live.session->mux().open(kj::str("s", i), i % MUX_PRIORITIES);
    streams.add(kj::mv(opened.get<kj::Own<MuxStream>>()));
    KJ_ASSERT(streams.back()->whenTaken().wait(io.waitScope) == nullptr);
  }
  auto block = kj::heapArray<kj::byte>(BLOCK);
  memset(block.begin(), 7, block.size());
  kj::Vector<kj::Promise<void>> writers;
  for (auto& stream : streams) {
    writers.add(writeForEver(kj::mv(stream), block).catch_([](kj::Exception&&) {}).eagerlyEvaluate(nullptr));
  }
  live.running.wait(io.waitScope);
}

struct Shares {
  uint64_t total = 0;
  uint64_t ofStream[STREAMS] = {};
  kj::Own<kj::PromiseFulfiller<void>> done;
};

kj::Promise<void> readForEver(kj::Own<MuxStream> stream, kj::uint index, Shares& shares) {
  auto block = kj::heapArray<kj::byte>(BLOCK);
  while (size_t n = co_await stream->tryRead(block.begin(), 1, block.size())) {
    shares.total += n;
    if (shares.total <= WARM_UP) continue;
    if (shares.total > WARM_UP + COUNTED) {
      shares.done->fulfill();
    } else {
      shares.ofStream[index] += n;
    }
  }
}

void receiveAll(kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> transport, Shares& shares) {
  OpenDoor door;
  auto live = startSession(io, kj::mv(transport), MuxRole::RESPONDER, door);
  auto done = kj::newPromiseAndFulfiller<void>();
  shares.done = kj::mv(done.fulfiller);
  kj::Vector<kj::Promise<void>> readers;
  for (kj::uint i = 0; i < STREAMS; i++) {
    auto stream = live.session->mux().accept().wait(io.waitScope);
    KJ_ASSERT(stream->priority() == i % MUX_PRIORITIES);
    readers.add(readForEver(kj::mv(stream), i, shares).eagerlyEvaluate(nullptr));
  }
  done.promise.wait(io.waitScope);
  live.session->close(CloseReason::SHUTDOWN, kj::str("done"));
  live.running.wait(io.waitScope);
}

// deviation: of what is measured from the rule, at most, as a factor.
void measure(Link& link, double deviation) {
  Shares shares;
  runPair(
      link, [](kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream) { sendAll(io, kj::mv(stream)); },
      [&](kj::AsyncIoContext& io, kj::Own<kj::AsyncIoStream> stream) { receiveAll(io, kj::mv(stream), shares); });
  printf("%s: %u streams, %u of each priority, %zu MiB: percent of the bytes\n", link.name().cStr(), STREAMS, EACH,
         COUNTED >> 20);
  printf("%8s %8s %8s %24s\n", "priority", "rule", "measured", "a stream, least-most");
  for (kj::uint priority = 0; priority < MUX_PRIORITIES; priority++) {
    double sum = 0, least = 100, most = 0;
    for (kj::uint i = priority; i < STREAMS; i += MUX_PRIORITIES) {
      double share = 100.0 * shares.ofStream[i] / COUNTED;
      sum += share, least = kj::min(least, share), most = kj::max(most, share);
    }
    constexpr double TURNS = MUX_HIGH_PRIORITY_BURST + 1;
    double rule = 100.0 * (priority == 0 ? MUX_HIGH_PRIORITY_BURST / TURNS : 1 / TURNS / (MUX_PRIORITIES - 1));
    printf("%8u %8.2f %8.2f %15.3f-%.3f\n", priority, rule, sum, least, most);
    bool holds = sum > rule / deviation && sum < rule * deviation;
    CHECK(isMet(holds, kj::str("what the rule gives, by a factor of at most ", deviation)));
  }
}

TEST_CASE("128 streams over netstackd's TCP that all have data share a session by priority as the rule says") {
  measure(*newNetstackLink(Bytes::DESCRIPTOR), 1.1);
}

}  // namespace
}  // namespace nexus
