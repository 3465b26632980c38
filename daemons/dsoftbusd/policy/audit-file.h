#pragma once
// The audit records as lines of a file, one JSON object each, so that they outlive the ring and the process. The format
// is in docs/distributed/audit-file.md. What cannot be written is counted, and the next line that can says how many
// were lost; a decision never waits for it nor depends on it. Owned by main. Knows nothing of files but that one can
// append a line.
#include <kj/time.h>
#include <kj/timer.h>

#include "daemons/dsoftbusd/policy/audit-log.h"
#include "libs/nexus-net-os/daemon/rotating-file.h"

namespace nexus {

class AuditFile final : public AuditSink {
 public:
  static constexpr kj::uint VERSION = 1;  // "v" of each line: changes when a field goes or changes its meaning

  // clock: dates what is no record (records have a date of their own); timer: for the rate of complaints. Both outlive
  // this.
  AuditFile(kj::Own<LineFile> file, const kj::Clock& clock, kj::Timer& timer);
  KJ_DISALLOW_COPY_AND_MOVE(AuditFile);

  // The first line of a run. boot: AuditLog::boot(), part of every line, since ids begin anew with each run.
  void begin(kj::StringPtr boot, kj::StringPtr node);

  // implements AuditSink ----
  void write(const AuditEntry& entry) override;
  void writeRepeats(const AuditEntry& entry) override;

  struct Counters {
    uint64_t lines = 0;  // written
    uint64_t lost = 0;   // records that are not in the file
  };
  const Counters& counters() const { return counts; }

 private:
  kj::Own<LineFile> file;
  const kj::Clock& clock;
  kj::Timer& timer;
  RateLimiter complaints;
  kj::String boot;
  uint64_t lostTold = 0;  // of counts.lost, said in a line
  Counters counts;

  kj::String head(kj::StringPtr event, kj::Date time) const;
  kj::String head(kj::StringPtr event) const { return head(event, clock.now()); }
  void append(kj::StringPtr line);
  bool tryAppend(kj::StringPtr line);
};

}  // namespace nexus
