#pragma once
// How a run looks: the ladder that is drawn again and again on a terminal, and the plain lines for everybody else.
// Pure: from the run state and the time to lines; who writes them is the screen.
#include "tools/vmtest/run-state.h"

namespace nexus::vmtest {

struct ViewStyle {
  kj::uint width = 100;  // columns; no line is longer
  bool color = false;
  kj::uint rows =
      1000;  // when the ladder has more lines, phases that are done, then those to come, shrink to one line each
};

// The whole ladder, one line per marker, or one per pair of markers when there are two nodes. Required markers are
// always there, informal ones once they were seen.
kj::Vector<kj::String> ladderLines(const RunState& state, kj::TimePoint now, const ViewStyle& style);

// What has happened since the last call, one line each: markers, ended phases, and once in a while what is being waited
// for.
class PlainView {
 public:
  static constexpr kj::Duration QUIET = 5 * kj::SECONDS;

  explicit PlainView(const RunState& state);
  kj::Vector<kj::String> news(kj::TimePoint now);

 private:
  const RunState& state;
  kj::Array<bool> told;
  size_t phasesTold = 0, chaosTold = 0;
  kj::Maybe<kj::TimePoint> lastNews;  // of the first call, until there are news

  kj::Maybe<size_t> nextUntold() const;
  void tellRungs(kj::Vector<kj::String>& lines);
  void tellPhases(kj::Vector<kj::String>& lines);
};

// "12.3 s"
kj::String secondsText(kj::Duration duration);
// What the run waits for: "\"text\" on A, 3.1 s of 20.0 s (owner x)". Null when nothing is missing.
kj::Maybe<kj::String> waitingFor(const RunState& state, kj::TimePoint now);

}  // namespace nexus::vmtest
