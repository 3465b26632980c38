#include "daemons/dsoftbusd/audit-log.h"

#include <kj/debug.h>

#include <algorithm>

namespace nexus {

namespace {

// A hostile peer may cause records as fast as it can send; the log must not become its amplifier.
constexpr kj::uint LINES_PER_SECOND = 20;
constexpr kj::uint LINES_BURST = 100;

}  // namespace

AuditLog::AuditLog(kj::Timer& timer, size_t capacity)
    : timer(timer), capacity(capacity), lines(LINES_PER_SECOND, LINES_BURST, 1) {
  KJ_REQUIRE(capacity > 0, "an audit log that keeps nothing");
}

uint64_t AuditLog::append(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation, CallStatus verdict,
                          size_t requestBytes) {
  auto name = printableText(peer, MAX_TEXT);
  if (verdict == CallStatus::RATE_LIMITED) {
    KJ_IF_MAYBE (entry, recentRateLimited(name)) {
      entry->repeats++;
      return entry->id;
    }
  }
  if (entries.size() >= capacity) makeRoom();
  if (verdict == CallStatus::UNAUTHENTICATED) unauthenticated++;
  auto id = nextId++;
  entries.push_back(AuditEntry{id, timer.now(), kj::mv(name), printableText(service, MAX_TEXT),
                               printableText(operation, MAX_TEXT), verdict, static_cast<uint32_t>(requestBytes)});
  log(entries.back());
  return id;
}

// Anybody on the link can cause records of strangers; what trusted peers did must outlive a flood of them.
void AuditLog::makeRoom() {
  auto isUnauthenticated = [](const AuditEntry& entry) { return entry.verdict == CallStatus::UNAUTHENTICATED; };
  auto victim = entries.begin();
  if (unauthenticated > capacity / 2) victim = std::find_if(entries.begin(), entries.end(), isUnauthenticated);
  if (isUnauthenticated(*victim)) unauthenticated--;
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
  auto& [id, time, peer, service, operation, status, bytes, repeats] = entry;
  auto verdict = statusName(status);
  if (status == CallStatus::OK) {
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
