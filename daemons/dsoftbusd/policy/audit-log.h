#pragma once
// The record of decisions about remote nodes: who asked for which operation of which service, and what was answered.
// Never a payload. A bounded ring: the oldest record is dropped and counted; records of those who proved nothing take
// at most half of it from the others. Each record is also one log line; lines
// are limited to a rate, and how many were left out is said in the next one. What one peer asks above its rate is
// counted in one record a second, so that it cannot push the other records out. Changes of this node's own
// configuration are records too. Each record can go to a sink as well, which keeps it longer. Owned by dsoftbusd; the
// DSoftBus capability reads it.
#include <kj/async.h>
#include <kj/string.h>
#include <kj/time.h>
#include <kj/timer.h>

#include <deque>

#include "daemons/dsoftbusd/policy/rate-limiter.h"
#include "daemons/dsoftbusd/remote/call-status.h"

namespace nexus {

// Which policy decided, and what the candidate of a dry run said of it.
struct AuditPolicy {
  uint32_t generation = 0;  // 0: no table was asked
  idl::DryRunVerdict dryRun = idl::DryRunVerdict::SAME;
};

struct AuditEntry {
  uint64_t id = 0;  // from 1, never used twice
  kj::TimePoint time = kj::origin<kj::TimePoint>();
  kj::String
      peer;  // name from the trust table; for a stranger "stranger:" and the start of its device id or its address
  kj::String service;    // what was asked for, at most MAX_TEXT bytes, made printable
  kj::String operation;  // empty when it could not be told
  CallStatus verdict = CallStatus::OK;
  uint32_t requestBytes = 0;
  uint64_t repeats = 0;  // further calls that this record stands for; only with the verdict RATE_LIMITED
  AuditPolicy policy{};
  kj::String change = nullptr;    // not empty: a change of this node's configuration, or one that was refused
  kj::Date utc = kj::UNIX_EPOCH;  // when it was made, for people; a clock that may be set: the id gives the order
};

// Hears every record. Not to throw, not to wait: a decision depends on neither.
class AuditSink {
 public:
  virtual ~AuditSink() noexcept(false) = default;

  // A new record; its repeats are still 0.
  virtual void write(const AuditEntry& entry) = 0;

  // A record that stands for more calls than one is complete: its repeats will not grow any more.
  virtual void writeRepeats(const AuditEntry& entry) = 0;
};

class AuditLog {
 public:
  static constexpr size_t DEFAULT_CAPACITY = 1024;  // records
  static constexpr size_t MAX_TEXT = 64;            // bytes of each text
  static constexpr size_t MAX_CHANGE = 512;         // bytes of what a change says
  static constexpr kj::Duration FOLD = 1 * kj::SECONDS;

  // calendar: dates the records, nothing else. Both clocks outlive this.
  explicit AuditLog(kj::Timer& timer, size_t capacity = DEFAULT_CAPACITY, const kj::Clock& calendar = kj::nullClock());
  ~AuditLog() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(AuditLog);

  // Keeps the record and returns its id. The texts may come from a peer: they are cut and made printable here.
  // RATE_LIMITED of a peer that has such a record younger than FOLD is counted there, whatever was asked for, and has
  // its id.
  uint64_t append(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation, CallStatus verdict,
                  size_t requestBytes, AuditPolicy policy = {});

  // The record of a change of this node's configuration: OK, or DENIED when it was refused.
  uint64_t appendChange(kj::StringPtr what, CallStatus verdict, uint32_t policyGeneration);

  // Null: none. The sink outlives this log.
  void setSink(kj::Maybe<AuditSink&> newSink) { sink = newSink; }

  // Tells the runs of the daemon apart, whose ids each begin at 1. Empty until set.
  void setBoot(kj::String id) { bootId = kj::mv(id); }
  kj::StringPtr boot() const { return bootId; }

  // One more log line about the record of that id, under the same limit to a rate. Static text and words of this node
  // only.
  void note(kj::StringPtr line, kj::StringPtr peer, uint64_t id);

  // Calls `each` for the kept records with an id above `after`, oldest first.
  template <typename Func>
  void forEachAfter(uint64_t after, Func&& each) const {
    for (auto& entry : entries) {
      if (entry.id > after) each(entry);
    }
  }

  size_t size() const { return entries.size(); }
  uint64_t droppedCount() const { return dropped; }
  uint64_t lastId() const { return nextId - 1; }
  uint64_t unloggedCount() const { return unlogged; }

 private:
  kj::Timer& timer;
  const kj::Clock& calendar;
  size_t capacity;
  uint64_t nextId = 1;
  uint64_t dropped = 0;
  size_t unauthenticated = 0;     // of the entries
  uint64_t unlogged = 0;          // lines left out since the daemon started
  uint64_t unloggedReported = 0;  // of these, already told in a line
  RateLimiter lines;
  std::deque<AuditEntry> entries;
  kj::String bootId;
  kj::Maybe<AuditSink&> sink;
  std::deque<uint64_t> folds;  // ids of records with repeats that the sink was not told yet; one a peer and second
  kj::Maybe<kj::Promise<void>> foldTask;  // last: uses the rest

  uint64_t keep(AuditEntry entry);
  void log(const AuditEntry& entry);
  kj::Promise<void> foldLoop();
  void endFold(uint64_t id);
  kj::Maybe<AuditEntry&> find(uint64_t id);
  void makeRoom();
  kj::Maybe<AuditEntry&> recentRateLimited(kj::StringPtr peer);
};

// `text` cut to `maxBytes`, every byte outside printable ASCII replaced by '?': safe in a log line and as Text of a
// message.
kj::String printableText(kj::StringPtr text, size_t maxBytes);

}  // namespace nexus
