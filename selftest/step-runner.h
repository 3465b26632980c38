#pragma once
// Runs the steps of the selftest one after the other: each has a marker, a deadline and a body that fails with a
// reason. A step that fails does not stop the later ones; every step ends, whatever its body does. Owned by Selftest.
// Knows nothing of networks; where results go is the sink's business.
#include <kj/async.h>
#include <kj/function.h>
#include <kj/timer.h>

#include "libs/nexus-net-os/daemon/markers.h"

namespace nexus {

class StepSink {
 public:
  // detail: for a person; may be empty.
  virtual kj::Promise<void> passed(const Marker& marker, kj::StringPtr detail) = 0;
  virtual kj::Promise<void> failed(const Marker& marker, kj::StringPtr reason) = 0;
};

class StepRunner final {
 public:
  using Body = kj::Function<kj::Promise<void>()>;

  // scale: percent that every deadline is stretched to; slow emulation needs more than 100.
  StepRunner(kj::Timer& timer, StepSink& sink, uint16_t scale) : timer(timer), sink(sink), scale(scale) {}
  KJ_DISALLOW_COPY_AND_MOVE(StepRunner);

  // True when the body ended well in time. The body is cancelled at the deadline.
  kj::Promise<bool> step(const Marker& marker, kj::Duration deadline, Body body);

  // A step that is over already: it failed when there is a fault. True when it passed.
  kj::Promise<bool> verdict(const Marker& marker, kj::Maybe<kj::String> fault, kj::String detail);

  // Attempts again while `attempt` fails, every `interval`, until `limit`; then fails with the last reason. For what a
  // restarting service or a table that is still filling may refuse for a while.
  kj::Promise<void> retry(kj::Duration limit, kj::Duration interval, Body attempt);

  kj::Duration scaled(kj::Duration duration) const { return duration * scale / 100; }
  kj::uint failures() const { return failed; }

 private:
  kj::Timer& timer;
  StepSink& sink;
  uint16_t scale;
  kj::uint failed = 0;
};

// Fails the step that calls it: `reason` is what the line will say.
[[noreturn]] void failStep(kj::StringPtr reason);

// " (no route)": one line, no control characters.
kj::String failDetail(kj::StringPtr reason);

// "SELFTEST: net ping FAIL (no route)" for the marker "SELFTEST: net ping ok".
kj::String failLine(const Marker& marker, kj::StringPtr reason);

}  // namespace nexus
