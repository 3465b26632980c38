#pragma once
// The person at the terminal, for a command that has to ask before it is done. Owned by main, or by a test.
#include <kj/async.h>
#include <kj/string.h>

namespace nexus::ctl {

class Console {
 public:
  virtual ~Console() noexcept(false) = default;

  // Whole lines, told at once. Not for what a machine said: that is to be cleaned first (report.h).
  virtual void say(kj::StringPtr lines) = 0;

  // The next line that the person types, at most 1000 bytes, without its end; null at the end of the input. One call at
  // a time.
  virtual kj::Promise<kj::Maybe<kj::String>> readLine() = 0;
};

}  // namespace nexus::ctl
