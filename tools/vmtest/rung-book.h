#pragma once
// Which rungs of a ladder have been reached, when, and which is the first one that has not. Pure; owned by the run
// state, which says what a line means.
#include <kj/function.h>
#include <kj/time.h>

#include "tools/vmtest/ladder.h"

namespace nexus::vmtest {

struct Reached {
  kj::Duration at;  // since the launch
  kj::uint lineNumber;
  kj::String line;
  bool byAlternative;
};

class RungBook {
 public:
  // Phases of which nothing is waited for are out of scope, as are those behind `until`.
  RungBook(const Profile& profile, Phase until, kj::Function<bool(Phase)> wanted);

  // False when it had been reached before.
  bool reach(size_t index, Reached reached);
  kj::Maybe<const Reached&> reached(size_t rung) const;

  bool inScope(const Rung& rung) const { return rung.phase <= until && wantedPhases[size_t(rung.phase)]; }
  // A required rung, reached or not, of that node and that phase; null: of any. Also behind `until`: what a whole run
  // would need.
  kj::Maybe<size_t> firstMissing(kj::Maybe<kj::byte> node, kj::Maybe<Phase> phase) const;
  // Of that node, printed by the selftest itself: none of them can come after its end.
  kj::Maybe<size_t> firstMissingOfSelftest(kj::byte node) const;
  // The control run's: the step that must fail.
  kj::Maybe<size_t> expectedFailure(kj::byte node) const;
  // The rung whose step prints this FAIL line, or has this name on the status channel; the last one if there are more.
  const Rung* stepOfFailLine(kj::byte node, kj::StringPtr line) const;
  const Rung* stepByName(kj::byte node, kj::StringPtr name) const;

  // Rungs in scope that are required, and how many of them have been reached.
  kj::uint requiredCount() const;
  kj::uint reachedCount() const;

 private:
  bool required(const Rung& rung) const;

  const Profile& profile;
  const Phase until;
  bool wantedPhases[size_t(Phase::END) + 1];
  kj::Array<kj::Maybe<Reached>> entries;
};

}  // namespace nexus::vmtest
