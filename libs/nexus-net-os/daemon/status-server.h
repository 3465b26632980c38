#pragma once
// idl Status: what a daemon tells about itself, beside its own interface. Made for each connection. Asks the daemon for
// a report with every call and keeps nothing; knows nothing of what the counters mean.
#include <kj/function.h>
#include <kj/timer.h>

#include "idl/status.capnp.h"

namespace nexus {

struct NamedCounter {
  kj::StringPtr name;  // "link.rxFrames": component, dot, what is counted; gauges end in "Now". Static lifetime
  uint64_t value;
};

struct StatusReport {
  idl::DaemonStatus::Health health = idl::DaemonStatus::Health::UP;
  kj::String detail;  // one sentence for people
  kj::Array<NamedCounter> counters;
};

// When a daemon started, and how it is asked. Owned by the daemon; must outlive every client.
class StatusSource {
 public:
  StatusSource(kj::StringPtr daemon, kj::Timer& timer, kj::Function<StatusReport()> report)
      : daemon(daemon), timer(timer), started(timer.now()), report(kj::mv(report)) {}
  KJ_DISALLOW_COPY_AND_MOVE(StatusSource);

  // For CapServer: one object for each connection.
  idl::Status::Client newServer();

  void fill(idl::DaemonStatus::Builder status);

 private:
  kj::StringPtr daemon;
  kj::Timer& timer;
  kj::TimePoint started;
  kj::Function<StatusReport()> report;
};

}  // namespace nexus
