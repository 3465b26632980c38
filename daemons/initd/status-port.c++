#include "daemons/initd/status-port.h"

#include <kj/debug.h>

namespace nexus {

StatusPort::StatusPort(kj::Own<kj::AsyncIoStream> stream)
    : stream(kj::mv(stream)), last(kj::Promise<void>(kj::READY_NOW).fork()) {}

void StatusPort::send(const StatusMessage& message) {
  auto line = kj::str(encodeStatus(message), '\n');
  if (queued >= MAX_QUEUED) {
    dropped++;
    KJ_LOG(WARNING, "the harness does not read its status channel: message dropped", dropped, line);
    return;
  }
  queued++;
  last = write(last.addBranch(), kj::mv(line)).fork();
}

kj::Promise<void> StatusPort::write(kj::Promise<void> before, kj::String line) {
  co_await before;
  KJ_DEFER(queued--);
  try {
    co_await stream->write(line.begin(), line.size());
  } catch (const kj::Exception& e) {
    dropped++;
    KJ_LOG(WARNING, "status message lost", line, e.getDescription());
  }
}

kj::Promise<void> StatusPort::readCommands(kj::Function<void(const StatusCommand&)> onCommand) {
  char line[STATUS_COMMAND_MAX];
  size_t size = 0;
  bool tooLong = false;
  for (;;) {
    char c;
    if (co_await stream->tryRead(&c, 1, 1) == 0) co_return;
    if (c != '\n' && c != '\r') {
      tooLong = tooLong || size == sizeof(line);
      if (!tooLong) line[size++] = c;
      continue;
    }
    auto command = tooLong ? nullptr : parseCommand(kj::arrayPtr(line, size));
    KJ_IF_MAYBE (c, command) {
      if (c->is<PowerOffCommand>()) co_return;
      onCommand(*c);
    }
    size = 0;
    tooLong = false;
  }
}

}  // namespace nexus
