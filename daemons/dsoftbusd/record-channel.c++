#include "daemons/dsoftbusd/record-channel.h"

#include <kj/debug.h>

namespace nexus {

namespace {

constexpr size_t READ_BYTES = 4096;

}  // namespace

RecordChannel::RecordChannel(kj::Own<kj::AsyncIoStream> stream, NoiseTransport keys, kj::Timer& timer,
                             const RecordLimits& limits)
    : stream(kj::mv(stream)),
      timer(timer),
      hash(keys.handshakeHash),
      sender(kj::mv(keys.send), timer.now(), limits),
      receiver(kj::mv(keys.receive), limits),
      written(kj::Promise<void>(kj::READY_NOW).fork()),
      buffer(kj::heapArray<kj::byte>(READ_BYTES)) {}

RecordChannel::~RecordChannel() noexcept(false) {
  writes.cancel(KJ_EXCEPTION(DISCONNECTED, "the session has ended"));
}

kj::Promise<void> RecordChannel::send(const SessionMessage& message) {
  auto encoded = encodeSessionMessage(message);
  return sendRecord(encoded.type, encoded.body);
}

kj::Promise<void> RecordChannel::sendRecord(uint8_t type, kj::ArrayPtr<const kj::byte> body) {
  KJ_IF_MAYBE (bytes, sender.trySeal(type, body, timer.now())) {
    auto write = written.addBranch().then([this, bytes = kj::mv(*bytes)]() mutable {
      auto promise = stream->write(bytes.begin(), bytes.size());
      return promise.attach(kj::mv(bytes));
    });
    written = writes.wrap(kj::mv(write)).fork();
    return written.addBranch();
  }
  return KJ_EXCEPTION(DISCONNECTED, "the session's counter is at its end");
}

kj::Promise<RecordChannel::Received> RecordChannel::receive() {
  for (;;) {
    auto next = receiver.next();
    KJ_IF_MAYBE (result, next) {
      KJ_SWITCH_ONEOF(*result) {
        KJ_CASE_ONEOF(record, Record) {
          co_return Message{record.type, kj::mv(record.body)};
        }
        KJ_CASE_ONEOF(error, RecordError) {
          co_return Fault{kj::str("bad record: ", error)};
        }
      }
    }
    auto n = co_await stream->tryRead(buffer.begin(), 1, buffer.size());
    if (n == 0) {
      if (receiver.pendingBytes() > 0) co_return Fault{kj::str("the stream ended inside a record")};
      co_return EndOfStream();
    }
    receiver.feed(buffer.slice(0, n));
  }
}

kj::Promise<void> RecordChannel::finish() {
  return writes.wrap(written.addBranch().then([this] { stream->shutdownWrite(); }));
}

}  // namespace nexus
