#pragma once
// Phase soak: the traffic between the nodes goes on for a while, and nothing may go wrong. Says what to order the
// guests, looks every second, and judges what they report: the same counts on the console and on the status channel,
// and none of them zero. Pure: fed with messages, lines and the time. Owned by the late phases.
#include <kj/time.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/daemon/status-channel.h"
#include "tools/vmtest/gate-failure.h"
#include "tools/vmtest/held-time.h"

namespace nexus::vmtest {

struct SoakSettings {
  kj::Duration duration = 8 * kj::SECONDS;  // of one round; 0: no soak
  kj::uint rounds = 1;

  bool enabled() const { return duration > 0 * kj::SECONDS; }
  kj::Duration whole() const { return duration * int64_t(rounds); }
};

// Lines that must not be there, counted on each node over the whole run.
struct SoakHits {
  kj::uint muxFail = 0, remoteFail = 0, panic = 0;
};

class SoakGate {
 public:
  // Traffic that stands still for so long has stalled.
  static constexpr kj::Duration STALL_LIMIT = 3 * kj::SECONDS;
  static constexpr kj::Duration CHECK_INTERVAL = 1 * kj::SECONDS;
  static constexpr int EXIT_FAIL_LINE = 88, EXIT_STALLED = 89, EXIT_DISAGREEMENT = 74;

  SoakGate(SoakSettings settings, kj::uint factor) : settings(settings), factor(factor) {}

  void note(const HeldTime& now) { held = now; }
  void begin(kj::TimePoint now);
  kj::Maybe<GateFailure> advance(kj::TimePoint now);
  bool done() const { return stage == Stage::DONE; }
  bool active() const { return stage != Stage::IDLE && stage != Stage::DONE; }
  kj::Vector<GuestCommand> takeCommands() { return kj::mv(commands); }

  void line(kj::byte node, kj::StringPtr line);  // of the console; at any time
  void traffic(kj::byte node, const StatusTraffic& traffic, kj::TimePoint now);
  void step(kj::byte node, const StatusStep& step);

  const SoakSettings& plan() const { return settings; }
  const SoakHits& hits(kj::byte node) const { return nodes[node].hits; }
  kj::uint roundsCompleted() const { return roundsDone; }
  kj::Duration lasted() const { return settings.duration * int64_t(roundsDone); }
  kj::uint checks() const { return checksDone; }
  // What the node reported of the soak; null before both channels have.
  kj::Maybe<const StatusTraffic&> counts(kj::byte node) const;

 private:
  enum class Stage : kj::byte { IDLE, WARMING_UP, RUNNING, REPORTING, DONE };
  struct Node {
    SoakHits hits;
    StatusTraffic last{0, 0, 0, 0};
    kj::TimePoint grewAt = kj::origin<kj::TimePoint>();
    kj::Duration heldThen = 0 * kj::SECONDS;
    kj::Maybe<kj::String> console, status;
    kj::Maybe<StatusTraffic> counts;
  };

  kj::Maybe<GateFailure> stalled(kj::TimePoint now) const;
  kj::Maybe<GateFailure> judgeReports();
  void orderBoth(TrafficOrder::Kind kind);

  const SoakSettings settings;
  const kj::uint factor;
  Stage stage = Stage::IDLE;
  kj::TimePoint roundStart = kj::origin<kj::TimePoint>(), nextCheck = kj::origin<kj::TimePoint>();
  kj::uint roundsDone = 0, checksDone = 0;
  HeldTime held;
  Node nodes[2];
  kj::Vector<GuestCommand> commands;
};

// "calls 812 failed 0 bytes 123456 breaks 0"; null when it is not exactly that.
kj::Maybe<StatusTraffic> parseTrafficText(kj::StringPtr text);

}  // namespace nexus::vmtest
