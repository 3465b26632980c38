#include "daemons/dsoftbusd/session/record-channel.h"

#include <kj/debug.h>

namespace nexus {

RecordChannel::RecordChannel(kj::Own<kj::AsyncIoStream> stream, NoiseTransport keys, kj::Timer& timer,
                             const RecordLimits& limits)
    : stream(kj::mv(stream)),
      timer(timer),
      hash(keys.handshakeHash),
      sender(kj::mv(keys.send), timer.now(), limits),
      receiver(kj::mv(keys.receive), limits),
      written(kj::Promise<void>(kj::READY_NOW).fork()) {}

RecordChannel::~RecordChannel() noexcept(false) {
  auto why = KJ_EXCEPTION(DISCONNECTED, "the session has ended");
  writes.cancel(why);
  reads.cancel(why);
}

kj::Promise<void> RecordChannel::send(const SessionMessage& message) {
  auto encoded = encodeSessionMessage(message);
  return sendRecord(encoded.type, encoded.body);
}

kj::Promise<void> RecordChannel::sendRecord(uint8_t type, kj::ArrayPtr<const kj::byte> body) {
  return kj::evalNow([&] {
    putRecord(type, nullptr, body);
    return whenWritten();
  });
}

void RecordChannel::putRecord(uint8_t type, kj::ArrayPtr<const kj::byte> head, kj::ArrayPtr<const kj::byte> rest) {
  KJ_IF_MAYBE (why, sendingFailure) {
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "an earlier write of the session failed", *why));
  }
  auto now = timer.now();
  size_t size = sender.sealedSize(head.size() + rest.size(), now);
  auto memory = spaceFor(size);
  if (!sender.trySealTo(memory.slice(0, size), type, head, rest, now)) {
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the session's counter is at its end"));
  }
  if (next == nullptr) {
    next = kj::heap<Batch>();
    written = writes
                  .wrap(written.addBranch().then([this] { return writeNext(); }).catch_([this](kj::Exception&& why) {
                    sendingFails(why);
                    kj::throwFatalException(
                        KJ_EXCEPTION(DISCONNECTED, "a write of the session failed", why.getDescription()));
                  }))
                  .fork();
  }
  KJ_ASSERT_NONNULL(next)->add(SealedRecord{kj::mv(memory), size});
}

kj::Array<kj::byte> RecordChannel::spaceFor(size_t size) {
  if (size >= LEAST_SPARE && spares.size() > 0) {
    auto memory = kj::mv(spares.back());
    spares.removeLast();
    if (memory.size() >= size) return memory;
  }
  return kj::heapArray<kj::byte>(size);
}

// After a batch was written. Nothing is kept when there is nothing more to send.
void RecordChannel::recycle(Batch& batch) {
  if (next == nullptr) return spares.clear();
  for (auto& record : batch) {
    bool fits = record.memory.size() >= LEAST_SPARE && record.memory.size() <= MOST_SPARE;
    if (fits && spares.size() < MAX_SPARES) spares.add(kj::mv(record.memory));
  }
}

kj::Promise<void> RecordChannel::writeNext() {
  auto batch = kj::mv(KJ_ASSERT_NONNULL(next));
  next = nullptr;
  auto pieces = KJ_MAP(record, *batch)->kj::ArrayPtr<const kj::byte> {
    return record.memory.slice(0, record.size);
  };
  auto promise = pieces.size() == 1 ? stream->write(pieces[0].begin(), pieces[0].size()) : stream->write(pieces);
  return promise.then([this, pieces = kj::mv(pieces), batch = kj::mv(batch)]() mutable { recycle(*batch); });
}

void RecordChannel::sendingFails(const kj::Exception& why) {
  next = nullptr;
  spares.clear();
  if (sendingFailure != nullptr) return;
  sendingFailure = kj::str(why.getDescription());
  tellFailure(KJ_ASSERT_NONNULL(sendingFailure));
}

kj::Promise<RecordChannel::Received> RecordChannel::receive() {
  if (ahead == nullptr) return readNext();
  return KJ_ASSERT_NONNULL(ahead).addBranch().then([this] {
    ahead = nullptr;
    auto result = kj::mv(KJ_ASSERT_NONNULL(readAhead));
    readAhead = nullptr;
    return result;
  });
}

// A read that is under way is never dropped, only with the channel: it may have taken bytes.
kj::Promise<bool> RecordChannel::speaks() {
  if (ahead == nullptr) {
    ahead = reads.wrap(readNext()).then([this](Received&& received) { readAhead = kj::mv(received); }).fork();
  }
  return KJ_ASSERT_NONNULL(ahead).addBranch().then(
      [this] {
        auto message = KJ_ASSERT_NONNULL(readAhead).tryGet<Message>();
        if (message == nullptr) return false;
        auto parsed = tryParseSessionMessage(KJ_ASSERT_NONNULL(message).type, KJ_ASSERT_NONNULL(message).body);
        return !parsed.map([](SessionMessage& m) { return m.is<CloseMessage>(); }).orDefault(false);
      },
      [](kj::Exception&&) { return false; });
}

kj::Promise<RecordChannel::Received> RecordChannel::readNext() {
  for (;;) {
    auto next = receiver.next();
    KJ_IF_MAYBE (result, next) {
      KJ_SWITCH_ONEOF(*result) {
        KJ_CASE_ONEOF(record, Record) {
          co_return Message{record.type, record.body, kj::mv(record.memory), record.placed};
        }
        KJ_CASE_ONEOF(error, RecordError) {
          co_return Fault{kj::str("bad record: ", error)};
        }
      }
    }
    auto space = receiver.space();
    auto n = co_await stream->tryRead(space.begin(), 1, space.size());
    if (n == 0) {
      if (receiver.pendingBytes() > 0) co_return Fault{kj::str("the stream ended inside a record")};
      co_return EndOfStream();
    }
    receiver.received(n);
  }
}

kj::Promise<void> RecordChannel::finish() {
  return writes.wrap(written.addBranch().then([this] { stream->shutdownWrite(); }));
}

kj::Promise<void> closeChannel(kj::Own<RecordChannel> channel, CloseMessage message, kj::Timer& timer) {
  auto& c = *channel;
  return c.send(message)
      .then([&c] { return c.finish(); })
      .catch_([](kj::Exception&&) {})  // the other end is gone: nothing to tell it
      .exclusiveJoin(timer.afterDelay(1 * kj::SECONDS))
      .attach(kj::mv(channel));
}

}  // namespace nexus
