#pragma once
// The traffic between two nodes, while a harness soaks them or breaks things: calls to every service of the peer, in
// turn and each without waiting for the others, and a stream whose content the peer sends back; each is taken up again
// when it fails. Both nodes do the same, and each sends back what comes on the other's stream. The harness's orders say
// when to count, which event to time and when to end. Owned by Selftest. What the numbers mean is TrafficTally's.
#include <kj/async.h>
#include <kj/function.h>
#include <kj/timer.h>

#include "idl/dsoftbus.capnp.h"
#include "idl/supervisor.capnp.h"
#include "libs/nexus-net-os/daemon/status-command.h"
#include "selftest/traffic-calls.h"
#include "selftest/traffic-tally.h"

namespace nexus {

class Traffic final : private kj::TaskSet::ErrorHandler {
 public:
  using GetBus = kj::Function<idl::DSoftBus::Client()>;
  using GetSupervisor = kj::Function<idl::Supervisor::Client()>;
  using OnSoakEnd = kj::Function<kj::Promise<void>(const StatusTraffic& soak)>;

  // Between the beginnings of two calls: below the rate that the peer allows (50 a second).
  static constexpr kj::Duration CALL_INTERVAL = 25 * kj::MILLISECONDS;
  // A call that has no answer by then is given up, as a failed one.
  static constexpr kj::Duration CALL_LIMIT = 3 * kj::SECONDS;
  static constexpr size_t ROUND_BYTES = 4096;
  static constexpr kj::Duration ROUND_INTERVAL = 20 * kj::MILLISECONDS;
  // Longer than the session's keep-alive, which is what ends a stream that is stuck.
  static constexpr kj::Duration ROUND_LIMIT = 12 * kj::SECONDS;
  static constexpr kj::Duration RETRY_INTERVAL = 50 * kj::MILLISECONDS;
  static constexpr kj::Duration HEARTBEAT = 500 * kj::MILLISECONDS;

  // own, peer: names of nodes. The own stream is called "traffic-" and the own name.
  Traffic(kj::StringPtr own, kj::StringPtr peer, GetBus bus, GetSupervisor supervisor, kj::Timer& timer,
          OnSoakEnd onSoakEnd);
  KJ_DISALLOW_COPY_AND_MOVE(Traffic);

  // Until the harness orders the end.
  kj::Promise<void> run();

  const TrafficTally& result() const { return tally; }

 private:
  kj::String own, peer;
  GetBus bus;
  GetSupervisor supervisor;
  kj::Timer& timer;
  OnSoakEnd onSoakEnd;
  TrafficCalls calls;
  TrafficTally tally;
  kj::Promise<void> echo = nullptr;  // of the peer's newest stream
  kj::TaskSet tasks;

  kj::Promise<idl::PeerSession::Client> session();
  kj::Promise<bool> callOnce(size_t target);
  kj::Promise<void> callLoop(size_t target);
  kj::Promise<void> rounds();
  kj::Promise<void> streamLoop();
  kj::Promise<void> acceptAll();
  kj::Promise<void> acceptLoop();
  kj::Promise<void> heartbeatLoop();
  kj::Promise<void> orderLoop();
  kj::Promise<void> obey(TrafficOrder order);
  void tell(const StatusMessage& message);

  void taskFailed(kj::Exception&& exception) override;  // a message that could not be told: logged
};

// Why a soak in which nothing was broken on purpose has failed; null when it has not.
kj::Maybe<kj::String> soakFault(const StatusTraffic& soak);
// "calls 812 failed 0 bytes 123456 breaks 0": the same on the console and on the status channel.
kj::String trafficText(const StatusTraffic& traffic);

}  // namespace nexus
