#pragma once
// Records on a byte stream: moves bytes between a stream and the pure RecordSender and RecordReceiver, keeps writes
// whole and in order. Owned by a session. Knows the message types only to encode and parse them.
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/timer.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/noise/noise-xk.h"
#include "daemons/dsoftbusd/noise/record.h"
#include "daemons/dsoftbusd/session/session-message.h"

namespace nexus {

class RecordChannel {
 public:
  // timer: for the age of keys.
  RecordChannel(kj::Own<kj::AsyncIoStream> stream, NoiseTransport keys, kj::Timer& timer,
                const RecordLimits& limits = {});
  ~RecordChannel() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(RecordChannel);

  // Seals at once and writes after everything sent before; what is sealed while a write is under way goes in the next
  // one, together. The write goes on even when the promise is dropped, for as long as the channel lives, so that no
  // record is cut. Fails when the stream does, and for good when the counter is at its end; DISCONNECTED both times.
  kj::Promise<void> send(const SessionMessage& message);

  // The same for a record of any type but 0, whose body the caller has encoded.
  kj::Promise<void> sendRecord(uint8_t type, kj::ArrayPtr<const kj::byte> body);

  // The same for one who sends many and waits once: the body is head, at most RECORD_MAX_HEAD bytes, and then rest.
  // DISCONNECTED when the counter is at its end or a write has failed: nothing is kept that cannot be sent.
  void putRecord(uint8_t type, kj::ArrayPtr<const kj::byte> head, kj::ArrayPtr<const kj::byte> rest);
  kj::Promise<void> whenWritten() { return written.addBranch(); }  // everything so far

  // Called once, with the reason, when a write has failed. Reading may go on: what the peer said last can still come.
  void onSendingFailure(kj::Function<void(kj::StringPtr why)> tell) {
    tellFailure = kj::mv(tell);
    KJ_IF_MAYBE (why, sendingFailure) tellFailure(*why);
  }

  struct Fault {
    kj::String what;
  };
  struct EndOfStream {};
  struct Message {
    uint8_t type;
    kj::ArrayPtr<const kj::byte> body;  // until the next receive(), or for as long as `memory`
    kj::Array<kj::byte> memory;         // of a large record: where the body lies
    bool placed = false;                // taken already, see placeWith()
  };
  using Received = kj::OneOf<Message, EndOfStream, Fault>;

  // The next record. After anything but a Message there is no next one. A stream that fails is an exception; one that
  // ends in the middle of a record is a fault. One caller at a time.
  kj::Promise<Received> receive();

  // Whether the peer goes on: its next record is there, and is no close record. False once it has closed or ended, or
  // the stream has failed. What came is for the next receive(). While no receive() waits.
  kj::Promise<bool> speaks();

  // See RecordReceiver.
  void placeWith(size_t headBytes, RecordPlace place) { receiver.placeWith(headBytes, kj::mv(place)); }

  // No more sending: our FIN, after everything sent.
  kj::Promise<void> finish();

  uint64_t recordsSent() const { return sender.recordCount(); }
  uint64_t recordsReceived() const { return receiver.recordCount(); }
  uint64_t rekeysSent() const { return sender.rekeyCount(); }
  uint64_t rekeysReceived() const { return receiver.rekeyCount(); }
  const KeyBytes& handshakeHash() const { return hash; }

 private:
  kj::Own<kj::AsyncIoStream> stream;
  kj::Timer& timer;
  KeyBytes hash;
  RecordSender sender;
  RecordReceiver receiver;
  kj::Canceler writes;              // whoever still waits for a write must not use the stream after it is gone
  kj::ForkedPromise<void> written;  // everything sent so far

  // Memory for large records goes round while one batch follows another: fresh memory costs more than the copy that it
  // is for.
  static constexpr size_t MAX_SPARES = 4, LEAST_SPARE = 16384, MOST_SPARE = 40000;  // pieces; bytes of each
  struct SealedRecord {
    kj::Array<kj::byte> memory;
    size_t size;  // of what is in it
  };
  using Batch = kj::Vector<SealedRecord>;
  kj::Maybe<kj::Own<Batch>> next;  // sealed, and its write has not begun
  kj::Maybe<kj::String> sendingFailure;
  kj::Function<void(kj::StringPtr)> tellFailure = [](kj::StringPtr) {};
  kj::Vector<kj::Array<kj::byte>> spares;

  kj::Maybe<kj::ForkedPromise<void>> ahead;  // a record is read ahead
  kj::Maybe<Received> readAhead;             // it was
  kj::Canceler reads;                        // of what is read ahead

  kj::Array<kj::byte> spaceFor(size_t size);
  void recycle(Batch& batch);
  kj::Promise<void> writeNext();
  void sendingFails(const kj::Exception& why);
  kj::Promise<Received> readNext();
};

// Sends a close record and ends the connection, within a second.
kj::Promise<void> closeChannel(kj::Own<RecordChannel> channel, CloseMessage message, kj::Timer& timer);

}  // namespace nexus
