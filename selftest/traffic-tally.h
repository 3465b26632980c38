#pragma once
// What the traffic of a node has done, and when it was whole again after each event that the harness brought about.
// Pure: fed with results and the time. Owned by Traffic; knows neither calls nor streams.
//
// An event is armed before it happens; its time is zero then. After it has happened comes go: from that moment on,
// every kind of call must succeed once, and so must a round of the stream, each of them begun after go. So what was
// still on its way when the event happened shows nothing, and the times are never too short.
#include <kj/function.h>
#include <kj/time.h>

#include "libs/nexus-net-os/daemon/status-channel.h"

namespace nexus {

class TrafficTally final {
 public:
  static constexpr size_t MAX_TARGETS = 16;

  // targets: kinds of calls, numbered from 0. onChaos: what is to be told to the harness.
  TrafficTally(size_t targets, kj::Function<void(const StatusChaos&)> onChaos);

  void callDone(size_t target, bool ok, kj::TimePoint began, kj::TimePoint now);
  void roundDone(size_t bytes, kj::TimePoint began, kj::TimePoint now);  // of a stream, with the bytes as they went
  void streamBroke() { sums.breaks++; }

  void arm(uint32_t event, kj::TimePoint now);
  // Of the event that is armed; another one is not known and ignored.
  void go(uint32_t event, kj::TimePoint now);

  // From here on soak() counts.
  void beginSoak() { soakStart = sums; }
  StatusTraffic soak() const;
  const StatusTraffic& total() const { return sums; }

  // Events that were armed, and the newest of them that is not over yet.
  uint32_t events() const { return armedCount; }
  kj::Maybe<uint32_t> pending() const;

 private:
  const size_t targets;
  kj::Function<void(const StatusChaos&)> onChaos;
  StatusTraffic sums{0, 0, 0, 0}, soakStart{0, 0, 0, 0};
  uint32_t armedCount = 0;

  struct Event {
    uint32_t number;
    kj::TimePoint armed;
    kj::Maybe<kj::TimePoint> went;
    bool recovered[MAX_TARGETS];
    bool callsTold, streamTold;
  };
  kj::Maybe<Event> event;

  void tell(const Event& event, StatusChaos::What what, kj::TimePoint now);
};

}  // namespace nexus
