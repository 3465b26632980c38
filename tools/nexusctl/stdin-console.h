#pragma once
// The person at this process's terminal, or a script at the other end of a pipe: says to standard error, so that
// standard output stays the answer; hears from standard input. Owned by main.
#include <kj/async-io.h>

#include "tools/nexusctl/console.h"

namespace nexus::ctl {

class StdinConsole final : public Console {
 public:
  explicit StdinConsole(kj::AsyncIoContext& io) : io(io) {}

  void say(kj::StringPtr lines) override;

  // Does not hold up the event loop, except when standard input is a file: that is read at once.
  kj::Promise<kj::Maybe<kj::String>> readLine() override;

 private:
  kj::AsyncIoContext& io;
  kj::Maybe<kj::Own<kj::AsyncInputStream>> input;

  kj::AsyncInputStream& open();
};

}  // namespace nexus::ctl
