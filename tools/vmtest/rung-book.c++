#include "tools/vmtest/rung-book.h"

#include "libs/nexus-net-os/daemon/status-channel.h"

namespace nexus::vmtest {

RungBook::RungBook(const Profile& profile, Phase until, kj::Function<bool(Phase)> wanted)
    : profile(profile), until(until), entries(kj::heapArray<kj::Maybe<Reached>>(profile.rungs.size())) {
  for (size_t i = 0; i < kj::size(wantedPhases); i++) wantedPhases[i] = wanted(Phase(i));
}

bool RungBook::required(const Rung& rung) const {
  return rung.need == Need::REQUIRED && wantedPhases[size_t(rung.phase)];
}

bool RungBook::reach(size_t index, Reached reached) {
  if (entries[index] != nullptr) return false;
  entries[index] = kj::mv(reached);
  return true;
}

kj::Maybe<const Reached&> RungBook::reached(size_t rung) const {
  KJ_IF_MAYBE (r, entries[rung]) return *r;
  return nullptr;
}

kj::Maybe<size_t> RungBook::firstMissing(kj::Maybe<kj::byte> node, kj::Maybe<Phase> phase) const {
  for (size_t i = 0; i < profile.rungs.size(); i++) {
    auto& rung = profile.rungs[i];
    if (!required(rung) || entries[i] != nullptr) continue;
    if (node.orDefault(rung.node) == rung.node && phase.orDefault(rung.phase) == rung.phase) return i;
  }
  return nullptr;
}

kj::Maybe<size_t> RungBook::firstMissingOfSelftest(kj::byte node) const {
  for (size_t i = 0; i < profile.rungs.size(); i++) {
    auto& rung = profile.rungs[i];
    if (rung.node == node && required(rung) && rung.marker->text.startsWith("SELFTEST: ") && entries[i] == nullptr &&
        inScope(rung))
      return i;
  }
  return nullptr;
}

kj::Maybe<size_t> RungBook::expectedFailure(kj::byte node) const {
  for (size_t i = 0; i < profile.rungs.size(); i++) {
    if (profile.rungs[i].node == node && profile.rungs[i].source == Source::CONSOLE_FAIL) return i;
  }
  return nullptr;
}

const Rung* RungBook::stepOfFailLine(kj::byte node, kj::StringPtr line) const {
  const Rung* found = nullptr;
  for (auto& rung : profile.rungs) {
    if (rung.node == node && stepName(rung.marker->text) != nullptr && carriesMarker(line, failText(*rung.marker)))
      found = &rung;
  }
  return found;
}

const Rung* RungBook::stepByName(kj::byte node, kj::StringPtr name) const {
  const Rung* found = nullptr;
  for (auto& rung : profile.rungs) {
    KJ_IF_MAYBE (step, stepName(rung.marker->text)) {
      if (rung.node == node && *step == name) found = &rung;
    }
  }
  return found;
}

kj::uint RungBook::requiredCount() const {
  kj::uint count = 0;
  for (auto& rung : profile.rungs) count += rung.need == Need::REQUIRED && inScope(rung);
  return count;
}

kj::uint RungBook::reachedCount() const {
  kj::uint count = 0;
  for (size_t i = 0; i < profile.rungs.size(); i++) {
    count += profile.rungs[i].need == Need::REQUIRED && inScope(profile.rungs[i]) && entries[i] != nullptr;
  }
  return count;
}

}  // namespace nexus::vmtest
