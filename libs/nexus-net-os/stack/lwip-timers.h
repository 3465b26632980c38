#pragma once
// lwIP's deadlines. lwIP has a table of functions to be called at fixed intervals; each is called only while it has
// something to wait for. Owned by LwipStack, which sleeps until next() and then calls runDue(). Pure: time is an
// argument.
#include <kj/common.h>

#include <array>
#include <cstdint>

namespace nexus {

class LwipTimers {
 public:
  explicit LwipTimers(uint64_t nowMs);

  // Starts the intervals of those that are needed now and were not before. After every call into lwIP.
  void refresh(uint64_t nowMs);

  // When runDue() has something to do; null when nothing waits.
  kj::Maybe<uint64_t> next() const;

  // Calls every function whose time has come, once; a delay does not shift the intervals unless it is longer than one.
  void runDue(uint64_t nowMs);

 private:
  struct Entry {
    bool armed = false;
    uint64_t due = 0;
  };
  static constexpr size_t MAX = 16;
  std::array<Entry, MAX> entries;
  bool slowTick = false;  // the slow half of the TCP timer runs every other time

  void runTcp();
};

}  // namespace nexus
