#pragma once
// The delays between attempts: doubling from a first to a largest one, without jitter, so that a run can be repeated. A
// value.
#include <kj/common.h>
#include <kj/time.h>

namespace nexus {

class Backoff {
 public:
  Backoff(kj::Duration first, kj::Duration largest) : first(first), largest(largest), delay(first) {}

  // The delay before the next attempt.
  kj::Duration next() {
    auto result = delay;
    delay = kj::min(delay * 2, largest);
    return result;
  }

  // Success: the next failure starts over.
  void reset() { delay = first; }

 private:
  kj::Duration first, largest, delay;
};

}  // namespace nexus
