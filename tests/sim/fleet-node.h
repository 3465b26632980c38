#pragma once
// One machine of a fleet: a whole dsoftbusd with its programs and stand-ins for samgrd and bundlemgrd, on a clock of
// its own. It can crash (the process, or the whole machine without a word to the others), start again with the same
// identity and nothing else, and be suspended. Owned by the fleet.
#include "daemons/dsoftbusd/dsoftbusd.h"
#include "daemons/dsoftbusd/policy/live-config.h"
#include "tests/sim/fleet-app.h"
#include "tests/sim/fleet-clock.h"
#include "tests/sim/fleet-wire.h"
#include "tests/sim/sim-network.h"

namespace nexus {

class FleetNode final : private kj::TaskSet::ErrorHandler {
 public:
  struct Options {
    kj::String toml;  // the configuration file: the [dsoftbusd] table
    FleetAppOptions app{};
    bool runsPrograms = true;
  };

  // Switched off at first. shared: the timer that the machine is to use instead of a clock of its own.
  FleetNode(kj::uint machine, Options options, SimNetwork& network, FleetWire& wire, FleetBooks& books, uint64_t seed,
            kj::TimePoint now, kj::Maybe<kj::Timer&> shared = nullptr);
  ~FleetNode() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(FleetNode);

  enum class Crash { PROCESS, MACHINE };
  void start();
  void crash(Crash kind);

  // Its programs end, and new ones begin.
  void restartPrograms(const FleetAppOptions& app);
  bool isUp() const { return process != nullptr; }

  // Trusts that machine no more, or again; stays so over a crash, as the configuration does.
  void revoke(kj::uint peer, bool isRevoked);

  // Its configuration file is another one now, and read again if the daemon runs. The ledgers know already.
  void configure(kj::String toml);

  // The daemon reads a file that it must refuse, or is given a candidate, which decides nothing (null: ends that).
  void refuseFile(kj::StringPtr toml);
  void tryCandidate(kj::Maybe<kj::StringPtr> toml);

  // Its network stack dies, and a fresh one comes.
  void stopStack();
  void startStack();
  bool hasStack() { return network.hasStack(name); }

  // Stands still, and takes nothing in.
  void suspend();
  void resume(bool jumps);

  NodeClock clock;

  Dsoftbusd& daemon() { return *KJ_ASSERT_NONNULL(process).daemon; }
  FleetApp& app() { return *KJ_ASSERT_NONNULL(process).app; }
  bool isReady(kj::uint peer);
  const FleetRights& rights() const { return books.rights; }
  const kj::uint machine;

 private:
  class Observer;
  class Source;
  class SamgrStandIn;
  class BundlemgrStandIn;

  struct Process {
    kj::Own<Observer> observer;
    kj::Own<Source> source;
    kj::Own<Dsoftbusd> daemon;
    kj::Own<LiveConfig> live;
    kj::Promise<void> running = nullptr;
    kj::Own<FleetApp> app;
    kj::Own<kj::TaskSet> backendWaits;
  };

  Options options;
  const kj::String name;
  SimNetwork& network;
  FleetWire& wire;
  FleetBooks& books;
  const uint64_t seed;
  kj::Maybe<kj::Timer&> shared;
  kj::uint starts = 0;
  FixedEntropy entropy, chance;  // of the daemon; of its backends
  kj::Maybe<Process> process;
  kj::Array<TrustedPeer> trusted;  // of the configuration, those included who are revoked

  kj::Timer& timer() { return shared.orDefault(clock.timer); }
  BusSettings readSettings(capnp::MallocMessageBuilder& message);
  void startPrograms();
  void applyTrust();
  kj::Promise<void> backendTime();
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace nexus
