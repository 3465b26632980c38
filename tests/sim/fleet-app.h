#pragma once
// The local programs of one machine of a fleet: they call other machines, open streams to them and serve the streams
// that others open, through the DSoftBus capability as any program would, and tell the ledgers what they do and see.
// Owned by the machine; lives as long as its process. Knows nothing of the network.
#include "idl/dsoftbus.capnp.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "tests/sim/fleet-ledger.h"

namespace nexus {

// What the programs of all machines share; outlives them.
struct FleetBooks {
  FleetTrace& trace;
  FleetRights& rights;
  CallLedger& calls;
  StreamLedger& streams;
  kj::uint honest;  // machines 0 to honest - 1 run programs
};

struct FleetAppOptions {
  bool restless = true;                  // calls and streams at random times; else only what is asked for below
  kj::Duration pause = 2 * kj::SECONDS;  // between two calls, or streams, of a program: up to this
  kj::uint largest = 40'000;             // bytes of one direction of a stream
};

class FleetApp final : private kj::TaskSet::ErrorHandler {
 public:
  FleetApp(kj::uint machine, idl::DSoftBus::Client bus, kj::Timer& timer, uint64_t seed, FleetBooks& books,
           const FleetAppOptions& options);
  ~FleetApp() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(FleetApp);

  // One call; whether it was answered with ok, or refused. Null: neither.
  kj::Promise<kj::Maybe<bool>> call(kj::uint callee, FleetRight right);

  // So many calls of the first right, as many at once as a session takes; whatever comes of them.
  void rush(kj::uint callee, kj::uint calls);

  // One stream with so many bytes each way, closed in order at both ends. Its id once both directions are done with,
  // one way or the other; null when it was not opened.
  kj::Promise<kj::Maybe<uint64_t>> stream(kj::uint acceptor, kj::uint name, size_t bytes);

  static kj::String machineName(kj::uint machine) { return kj::str("m", machine); }
  static kj::Maybe<kj::uint> machineOf(kj::StringPtr name) {
    if (!name.startsWith("m")) return nullptr;
    return name.slice(1).tryParseAs<kj::uint>();
  }

 private:
  enum class Manner { CLOSE, RESET, DROP };

  const kj::uint machine;
  idl::DSoftBus::Client bus;
  kj::Timer& timer;
  FixedEntropy random;
  FleetBooks& books;
  FleetAppOptions options;
  kj::TaskSet tasks;

  uint64_t below(uint64_t n) { return random.next() % n; }
  kj::Duration aWhile(kj::Duration most) {
    return int64_t(below(uint64_t(most / kj::MICROSECONDS))) * kj::MICROSECONDS;
  }
  kj::uint anyOther();

  kj::Promise<void> callLoop();
  kj::Promise<void> callAgain(kj::uint callee, kj::uint calls);
  kj::Promise<void> openLoop();
  kj::Promise<void> acceptLoop(kj::uint peer);
  kj::Promise<void> acceptOn(idl::PeerSession::Client session, kj::uint peer);
  kj::Promise<void> serve(idl::MuxStream::Client stream, kj::uint peer, kj::String name);
  kj::Promise<kj::Maybe<uint64_t>> openOne(kj::uint peer, kj::uint name, size_t bytes, Manner manner, bool slow);
  kj::Promise<void> writeAll(idl::MuxStream::Client stream, uint64_t id, kj::uint direction, size_t bytes,
                             Manner manner, bool slow);
  kj::Promise<void> readAll(idl::MuxStream::Client stream, uint64_t id, kj::uint direction, bool slow);
  kj::Promise<kj::Maybe<idl::PeerSession::Client>> sessionWith(kj::uint peer);
  void expectGone(kj::StringPtr what, const kj::Exception& exception);
  void taskFailed(kj::Exception&& exception) override;

  template <typename T>
  kj::Promise<kj::Maybe<T>> ifItLives(kj::StringPtr what, kj::Promise<T> promise);
};

}  // namespace nexus
