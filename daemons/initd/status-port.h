#pragma once
// The guest's end of the status channel (libs/nexus-net-os/daemon/status-channel.h): sends messages in order, without
// ever holding up its caller, and waits for the harness's one command. Owned by initd. Knows a stream, not a terminal.
#include <kj/async-io.h>

#include "libs/nexus-net-os/daemon/status-channel.h"

namespace nexus {

class StatusPort final {
 public:
  // At most this many messages wait for a harness that does not read; further ones are dropped, counted and logged.
  static constexpr kj::uint MAX_QUEUED = 256;

  explicit StatusPort(kj::Own<kj::AsyncIoStream> stream);
  KJ_DISALLOW_COPY_AND_MOVE(StatusPort);

  void send(const StatusMessage& message);

  // Resolves when the harness has said `poweroff`, or has closed the channel. Other lines are ignored.
  kj::Promise<void> whenPoweroff();

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
