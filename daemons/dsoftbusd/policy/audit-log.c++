#include "daemons/dsoftbusd/policy/audit-log.h"

#include <kj/debug.h>

#include <algorithm>

namespace nexus {

namespace {

// A hostile peer may cause records as fast as it can send; the log must not become its amplifier.
constexpr kj::uint LINES_PER_SECOND = 20;
constexpr kj::uint LINES_BURST = 100;

}  // namespace

AuditLog::AuditLog(kj::Timer& timer, size_t capacity, const kj::Clock& calendar)
    : timer(timer), calendar(calendar), capacity(capacity), lines(LINES_PER_SECOND, LINES_BURST, 1) {
  KJ_REQUIRE(capacity > 0, "an audit log that keeps nothing");
}

AuditLog::~AuditLog() noexcept(false) {
  while (!folds.empty()) endFold(folds.front());
}

uint64_t AuditLog::append(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation, CallStatus verdict,
                          size_t requestBytes, AuditPolicy policy) {
  auto name = printableText(peer, MAX_TEXT);
  if (verdict == CallStatus::RATE_LIMITED) {
    KJ_IF_MAYBE (entry, recentRateLimited(name)) {
      if (entry->repeats++ == 0 && sink != nullptr) {
        folds.push_back(entry->id);
        if (folds.size() == 1) foldTask = foldLoop().eagerlyEvaluate(nullptr);
      }
      return entry->id;
    }
  }
  AuditEntry entry;
  entry.peer = kj::mv(name);
  entry.service = printableText(service, MAX_TEXT);
  entry.operation = printableText(operation, MAX_TEXT);
  entry.verdict = verdict;
  entry.requestBytes = static_cast<uint32_t>(requestBytes);
  entry.policy = policy;
  return keep(kj::mv(entry));
}

uint64_t AuditLog::appendChange(kj::StringPtr what, CallStatus verdict, uint32_t policyGeneration) {
  AuditEntry entry;
  entry.verdict = verdict;
  entry.policy.generation = policyGeneration;
  entry.change = printableText(what, MAX_CHANGE);
  return keep(kj::mv(entry));
}

uint64_t AuditLog::keep(AuditEntry entry) {
  if (entries.size() >= capacity) makeRoom();
  if (entry.verdict == CallStatus::UNAUTHENTICATED) unauthenticated++;
  entry.id = nextId++;
  entry.time = timer.now();
  entry.utc = calendar.now();
  entries.push_back(kj::mv(entry));
  auto& kept = entries.back();
  log(kept);
  KJ_IF_MAYBE (s, sink) s->write(kept);
  return kept.id;
}

// Tells the sink how many calls a record stands for, once that is certain.
kj::Promise<void> AuditLog::foldLoop() {
  while (!folds.empty()) {
    auto id = folds.front();
    KJ_IF_MAYBE (entry, find(id)) co_await timer.atTime(entry->time + FOLD);
    // It may have been dropped, and told, meanwhile.
    if (!folds.empty() && folds.front() == id) endFold(id);
  }
}

void AuditLog::endFold(uint64_t id) {
  auto place = std::find(folds.begin(), folds.end(), id);
  if (place == folds.end()) return;
  folds.erase(place);
  KJ_IF_MAYBE (entry, find(id)) {
    KJ_IF_MAYBE (s, sink) s->writeRepeats(*entry);
  }
}

kj::Maybe<AuditEntry&> AuditLog::find(uint64_t id) {
  auto place = std::lower_bound(entries.begin(), entries.end(), id,
                                [](const AuditEntry& entry, uint64_t wanted) { return entry.id < wanted; });
  if (place == entries.end() || place->id != id) return nullptr;
  return *place;
}

// Anybody on the link can cause records of strangers; what trusted peers did must outlive a flood of them.
void AuditLog::makeRoom() {
  auto isUnauthenticated = [](const AuditEntry& entry) { return entry.verdict == CallStatus::UNAUTHENTICATED; };
  auto victim = entries.begin();
  if (unauthenticated > capacity / 2) victim = std::find_if(entries.begin(), entries.end(), isUnauthenticated);
  if (isUnauthenticated(*victim)) unauthenticated--;
  endFold(victim->id);  // the last chance to tell
  entries.erase(victim);
  dropped++;
}

kj::Maybe<AuditEntry&> AuditLog::recentRateLimited(kj::StringPtr peer) {
  auto now = timer.now();
  for (auto entry = entries.rbegin(); entry != entries.rend() && now - entry->time < FOLD; ++entry) {
    if (entry->verdict == CallStatus::RATE_LIMITED && entry->peer == peer) return *entry;
  }
  return nullptr;
}

void AuditLog::note(kj::StringPtr line, kj::StringPtr peer, uint64_t id) {
  if (lines.tryTake("audit", timer.now())) {
    KJ_LOG(INFO, line, id, printableText(peer, MAX_TEXT));
  } else {
    unlogged++;
  }
}

void AuditLog::log(const AuditEntry& entry) {
  if (!lines.tryTake("audit", timer.now())) {
    unlogged++;
    return;
  }
  auto omitted = unlogged - unloggedReported;
  unloggedReported = unlogged;
  auto& [id, time, peer, service, operation, status, bytes, repeats, policy, change, utc] = entry;
  auto verdict = statusName(status);
  auto dryRun = dryRunName(policy.dryRun);
  if (change.size() > 0) {
    KJ_LOG(WARNING, "audit", id, change, verdict, omitted);
  } else if (policy.dryRun != idl::DryRunVerdict::SAME) {
    KJ_LOG(WARNING, "audit", id, peer, service, operation, verdict, bytes, dryRun, omitted);
  } else if (status == CallStatus::OK) {
    KJ_LOG(INFO, "audit", id, peer, service, operation, verdict, bytes, omitted);
  } else {
    KJ_LOG(WARNING, "audit", id, peer, service, operation, verdict, bytes, omitted);
  }
}

kj::String printableText(kj::StringPtr text, size_t maxBytes) {
  auto result = kj::heapString(text.begin(), kj::min(text.size(), maxBytes));
  for (char& c : result.asArray()) {
    if (c < ' ' || c > '~') c = '?';
  }
  return result;
}

}  // namespace nexus
