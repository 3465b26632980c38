#pragma once
// The guest's end of the status channel (libs/nexus-net-os/daemon/status-channel.h): sends messages in order, without
// ever holding up its caller, and reads the harness's commands. Owned by initd. Knows a stream, not a terminal.
#include <kj/async-io.h>
#include <kj/function.h>

#include "libs/nexus-net-os/daemon/status-channel.h"
#include "libs/nexus-net-os/daemon/status-command.h"

namespace nexus {

class StatusPort final {
 public:
  // At most this many messages wait for a harness that does not read; further ones are dropped, counted and logged.
  static constexpr kj::uint MAX_QUEUED = 256;

  explicit StatusPort(kj::Own<kj::AsyncIoStream> stream);
  KJ_DISALLOW_COPY_AND_MOVE(StatusPort);

  void send(const StatusMessage& message);

  // Hands out every other command, in order. Resolves when the harness has said `poweroff`, or has closed the channel.
  // Lines that are no command are ignored.
  kj::Promise<void> readCommands(kj::Function<void(const StatusCommand&)> onCommand);

  // Resolves when everything sent so far has left, or could not.
  kj::Promise<void> flushed() { return last.addBranch(); }

  uint64_t droppedCount() const { return dropped; }

 private:
  kj::Own<kj::AsyncIoStream> stream;
  kj::uint queued = 0;
  uint64_t dropped = 0;
  kj::ForkedPromise<void> last;  // the last write so far; each waits for the one before

  kj::Promise<void> write(kj::Promise<void> before, kj::String line);
};

}  // namespace nexus
