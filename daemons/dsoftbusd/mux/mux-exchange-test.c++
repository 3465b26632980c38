// Two cores and a wire that carries frames in order, driven at random: programs open, write, read, close, reset and let
// go of streams at both ends. After every step: no byte of a stream is lost, repeated or out of order, credit is never
// overdrawn, every buffer and table is within its bound. The seed of a failing run is printed; the same seed is the
// same run.
#include <doctest/doctest.h>

#include <cstdlib>
#include <deque>
#include <map>
#include <string>

#include "daemons/dsoftbusd/mux/mux-core.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

constexpr kj::uint RUNS = 40, STEPS = 4000;
constexpr MuxLimits LIMITS{.maxStreams = 12, .acceptBacklog = 4, .maxRefused = 128};

// What the byte at that place of that direction of that stream is: whoever reads can tell where it is from.
kj::byte patternAt(MuxStreamId id, bool fromInitiator, uint64_t at) {
  return static_cast<kj::byte>((at * 31 + at / 251) ^ id * 7 ^ (fromInitiator ? 0x55 : 0xaa));
}

class Exchange {
 public:
  explicit Exchange(uint64_t seed) : random(seed) {}

  void run() {
    for (kj::uint i = 0; i < STEPS; i++) {
      step();
      for (auto& end : ends) end.core.checkInvariants();
    }
    finish();
  }

  uint64_t carried = 0, resets = 0, ended = 0, refused = 0;

 private:
  struct Held {
    uint64_t written = 0, read = 0;
    bool closed = false;
  };
  struct End {
    End(MuxRole role) : initiator(role == MuxRole::INITIATOR), core(role, MuxSession::AUTHENTICATED, LIMITS) {}
    bool initiator;
    MuxCore core;
    std::map<MuxStreamId, Held> held;
    std::deque<EncodedMuxFrame> toPeer;
    kj::uint names = 0;
  };
  FixedEntropy random;
  End ends[2] = {MuxRole::INITIATOR, MuxRole::RESPONDER};
  kj::byte scratch[40000];

  uint64_t below(uint64_t n) { return random.next() % n; }

  void step() {
    auto& end = ends[below(2)];
    switch (below(12)) {
      case 0:
        open(end);
        break;
      case 1:
        KJ_IF_MAYBE (id, end.core.accept()) end.held[*id];
        break;
      case 2:
      case 3:
      case 4:
        withOne(end, [&](MuxStreamId id, Held& held) { write(end, id, held, 1 + below(MUX_MAX_DATA)); });
        break;
      case 5:
      case 6:
        withOne(end, [&](MuxStreamId id, Held& held) { read(end, id, held, 1 + below(sizeof(scratch))); });
        break;
      case 7:
        if (below(8) == 0) withOne(end, [&](MuxStreamId id, Held& held) { letGo(end, id, held); });
        break;
      case 8:
      case 9:
        send(end, 1 + below(4));
        break;
      default:
        deliver(end, 1 + below(4));
        break;
    }
  }

  template <typename Func>
  void withOne(End& end, Func&& func) {
    if (end.held.empty()) return;
    auto at = end.held.begin();
    std::advance(at, below(end.held.size()));
    func(at->first, at->second);
  }

  void open(End& end) {
    auto name = kj::str("stream/", end.initiator ? "a/" : "b/", end.names++ % 6);
    auto opened = end.core.open(name.asArray(), below(MUX_PRIORITIES));
    if (opened.is<MuxStreamId>()) end.held[opened.get<MuxStreamId>()];
  }

  void write(End& end, MuxStreamId id, Held& held, size_t n) {
    auto& stream = KJ_ASSERT_NONNULL(end.core.find(id));
    auto before = stream.credit();
    for (size_t i = 0; i < n; i++) scratch[i] = patternAt(id, end.initiator, held.written + i);
    auto result = end.core.send(id, kj::arrayPtr(scratch, n));
    if (result.is<MuxAccepted>()) {
      KJ_ASSERT(n <= before, "credit was overdrawn");
      KJ_ASSERT(stream.credit() == before - n);
      held.written += n;
    } else {
      KJ_ASSERT(stream.credit() == before);
    }
  }

  void read(End& end, MuxStreamId id, Held& held, size_t most) {
    size_t n = end.core.read(id, kj::arrayPtr(scratch, most));
    for (size_t i = 0; i < n; i++) {
      KJ_ASSERT(scratch[i] == patternAt(id, !end.initiator, held.read + i), id, held.read);
    }
    held.read += n;
    carried += n;
    checkEnd(end, id, held);
  }

  // An end that is seen is the end of what the peer wrote.
  void checkEnd(End& end, MuxStreamId id, Held& held) {
    auto& stream = KJ_ASSERT_NONNULL(end.core.find(id));
    if (!stream.atEnd()) return;
    auto& peer = ends[end.initiator ? 1 : 0];
    auto found = peer.held.find(id);
    if (found != peer.held.end() && found->second.closed) {
      KJ_ASSERT(held.read == found->second.written, id);
    }
  }

  void letGo(End& end, MuxStreamId id, Held& held) {
    switch (below(3)) {
      case 0:
        if (end.core.close(id) == nullptr) {
          held.closed = true;
          ended++;
        }
        break;
      case 1:
        if (end.core.reset(id) == nullptr) resets++;
        break;
      case 2:
        end.core.release(id);
        end.held.erase(id);
        break;
    }
  }

  void send(End& end, kj::uint most) {
    for (kj::uint i = 0; i < most; i++) {
      KJ_IF_MAYBE (outgoing, end.core.takeFrame()) {
        end.toPeer.push_back(encodeMuxFrame(outgoing->frame));
      } else {
        return;
      }
    }
  }

  void deliver(End& from, kj::uint most) {
    auto& to = ends[from.initiator ? 1 : 0];
    for (kj::uint i = 0; i < most && !from.toPeer.empty(); i++) {
      auto encoded = kj::mv(from.toPeer.front());
      from.toPeer.pop_front();
      auto frame = KJ_ASSERT_NONNULL(tryParseMuxFrame(encoded.type, encoded.body));
      KJ_IF_MAYBE (rejection, to.core.ingest(frame)) {
        KJ_ASSERT(rejection->gravity != MuxGravity::FATAL, "an honest peer was taken for another",
                  muxRejectLabel(rejection->why), encoded.type, streamOf(frame));
        if (rejection->gravity == MuxGravity::REFUSED) refused++;
      }
    }
  }

  // Everybody reads what there is, lets go, and the wire empties: nothing is left anywhere.
  void finish() {
    for (int round = 0; round < 200; round++) {
      for (auto& end : ends) {
        for (;;) {
          KJ_IF_MAYBE (id, end.core.accept()) {
            end.held[*id];
          } else {
            break;
          }
        }
        for (auto& entry : end.held) read(end, entry.first, entry.second, sizeof(scratch));
        send(end, 1000);
        deliver(end, 1000);
      }
      if (round < 100) continue;
      for (auto& end : ends) {
        while (!end.held.empty()) {
          end.core.release(end.held.begin()->first);
          end.held.erase(end.held.begin());
        }
      }
    }
    for (auto& end : ends) {
      KJ_ASSERT(end.core.streamCount() == 0, end.initiator);
      KJ_ASSERT(end.core.refusedCount() == 0, end.initiator);
      KJ_ASSERT(end.core.backlogSize() == 0 && end.core.takeFrame() == nullptr);
    }
  }
};

TEST_CASE("whatever programs at both ends do, streams carry their bytes in order and nothing is left at the end") {
  uint64_t first = 1;
  if (auto* seed = getenv("NEXUS_SEED")) first = strtoull(seed, nullptr, 0);
  uint64_t carried = 0, resets = 0, ended = 0, refused = 0;
  for (uint64_t seed = first; seed < first + RUNS; seed++) {
    CAPTURE(seed);
    Exchange exchange(seed);
    auto failure = kj::runCatchingExceptions([&] { exchange.run(); });
    KJ_IF_MAYBE (e, failure) FAIL(std::string(kj::str(*e).cStr()));
    carried += exchange.carried;
    resets += exchange.resets;
    ended += exchange.ended;
    refused += exchange.refused;
  }
  // The runs were about something.
  CHECK(carried > 10'000'000);
  CHECK(resets > 100);
  CHECK(ended > 100);
  CHECK(refused > 100);
}

}  // namespace
}  // namespace nexus
