#pragma once
// How long a process has waited for a processor although it could run, as Linux counts it for each thread
// (/proc/PID/task/TID/schedstat: nanoseconds run, nanoseconds waited, turns). Knows nothing of guests.
#include <kj/string.h>
#include <kj/time.h>
#include <sys/types.h>

namespace nexus::vmtest {

struct SchedTimes {
  kj::Duration ran = 0 * kj::SECONDS;     // all threads together
  kj::Duration waited = 0 * kj::SECONDS;  // the thread that waited longest
};

// Adds one thread's line; one that is not of that form adds nothing.
void addSchedStat(SchedTimes& times, kj::StringPtr line);

// Zero for a process that has ended, and where the kernel does not count.
SchedTimes schedTimes(pid_t process);

}  // namespace nexus::vmtest
