#pragma once
// What happened in a run, in its order: every event goes into one hash, and is printed as a line when somebody reads
// along. Two runs of one seed have the same hash. Also the place where violated invariants are collected. Owned by the
// fleet; knows nothing of what the events mean.
#include <kj/function.h>
#include <kj/string.h>
#include <kj/timer.h>
#include <kj/vector.h>

namespace nexus {

class FleetTrace {
 public:
  using Print = kj::Function<void(kj::StringPtr line)>;

  // timer: the fleet's.
  explicit FleetTrace(kj::Timer& timer, kj::Maybe<Print> print = nullptr) : timer(timer), print(kj::mv(print)) {}
  KJ_DISALLOW_COPY_AND_MOVE(FleetTrace);

  // One event: texts and whole numbers.
  template <typename... Parts>
  void note(const Parts&... parts) {
    count++;
    mix((timer.now() - kj::origin<kj::TimePoint>()) / kj::NANOSECONDS);
    (add(parts), ...);
    KJ_IF_MAYBE (p, print) (*p)(kj::str(stamp(), "  ", kj::delimited(kj::arr(kj::str(parts)...), " ")));
  }

  // A line for who reads along; no event.
  template <typename... Parts>
  void tell(Parts&&... parts) {
    KJ_IF_MAYBE (p, print) (*p)(kj::str(stamp(), "  ", parts...));
  }

  // An invariant does not hold.
  void violation(kj::String what) {
    note("VIOLATION", what);
    if (found.size() < MAX_VIOLATIONS) found.add(kj::str(stamp(), "  ", what));
  }

  uint64_t hash() const { return state; }
  uint64_t events() const { return count; }
  kj::ArrayPtr<const kj::String> violations() const { return found; }
  bool isPrinting() const { return print != nullptr; }

  // Seconds of virtual time.
  kj::String stamp() const {
    auto us = (timer.now() - kj::origin<kj::TimePoint>()) / kj::MICROSECONDS;
    auto fraction = kj::str(us % 1000000);
    return kj::str(us / 1000000, ".", kj::repeat('0', 6 - fraction.size()), fraction);
  }

  static uint64_t scramble(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
  }

 private:
  static constexpr size_t MAX_VIOLATIONS = 20;

  kj::Timer& timer;
  kj::Maybe<Print> print;
  uint64_t state = 0x9e3779b97f4a7c15, count = 0;
  kj::Vector<kj::String> found;

  void mix(uint64_t value) { state = scramble(state + value); }
  void add(kj::StringPtr text) {
    for (char c : text) state = (state ^ kj::byte(c)) * 0x100000001b3;
    mix(text.size());
  }
  void add(const kj::String& text) { add(text.asPtr()); }
  void add(const char* text) { add(kj::StringPtr(text)); }
  void add(uint64_t number) { mix(number); }
};

}  // namespace nexus
