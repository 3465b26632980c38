#pragma once
// The streams of one session, for programs: drives the pure core with the session's records. Owned by the session,
// which feeds it what arrives, runs its sending loop and ends it; streams keep this object, not the connection. Knows
// nothing of encryption, peers or policy.
//
// A stream is a kj::AsyncIoStream. Bytes wait here only within the bounds of mux-stream-core.h: a write goes on as the
// peer's reader drains, and one stream that nobody reads holds up no other. Records are handed to the session in
// batches of up to MAX_BATCH bytes; while one is written the next is sealed, so what is urgent waits for two of them at
// most.
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/refcount.h>

#include "daemons/dsoftbusd/mux/mux-core.h"
#include "daemons/dsoftbusd/session/signal.h"
#include "libs/nexus-net-os/base/wait-queue.h"

namespace nexus {

// One end of a named stream.
//   read, tryRead      DISCONNECTED when the stream was reset or the session ended before the peer's end of it arrived;
//                      what arrived whole can be read out all the same. One caller at a time.
//   write              until every byte is within the bounds of what may wait; of a piece of more than Mux::MAX_BATCH
//                      bytes, which is not copied, until all of it was sealed. DISCONNECTED as above, FAILED after
//                      shutdownWrite. One caller at a time.
//   shutdownWrite      half-close: the peer reads to the end, this end still reads. Nothing when it has ended.
//   abortRead          a reset: both directions, at once, what waits is dropped.
//   dropping it        what was written still goes out, then the end; if the peer sends more, a reset.
class MuxStream : public kj::AsyncIoStream {
 public:
  virtual MuxStreamId id() const = 0;
  virtual kj::StringPtr name() const = 0;
  virtual kj::byte priority() const = 0;
  virtual MuxState state() const = 0;

  // Null once the peer has taken the stream, else why it has not. DISCONNECTED when the session ends first.
  virtual kj::Promise<kj::Maybe<MuxResetReason>> whenTaken() = 0;

  // After a reset: the audit record of the decision behind it, at the peer if it came from there; 0 when there is none.
  virtual uint64_t resetAuditId() const = 0;
};

// What was decided about a stream that the peer opens.
struct MuxAdmission {
  bool admitted;
  uint64_t auditId;     // of the record of the decision; 0: none
  bool served = false;  // goes to Mux::serveWith instead of accept()
};

class Mux final : public kj::Refcounted {
 public:
  // Made with kj::refcounted, for an authenticated session.
  explicit Mux(MuxRole role, const MuxLimits& limits = {});
  ~Mux() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Mux);

  static constexpr kj::uint MAX_ACCEPTING = 16;          // calls of accept() at once; one more is OVERLOADED
  static constexpr size_t MAX_BATCH = 2 * MUX_MAX_DATA;  // bytes of payload that are handed over at once

  // ---- for programs

  // Can be written to at once. A reject is an expected outcome; DISCONNECTED when the session has ended.
  kj::OneOf<kj::Own<MuxStream>, MuxReject> open(kj::StringPtr name, kj::byte priority);

  // "PREFIX#i7": a name for the next stream that is opened, which no stream of either end has or will have.
  kj::String uniqueName(kj::StringPtr prefix);

  // The next stream that the peer opens. Cancelling loses none. DISCONNECTED when the session ends.
  kj::Promise<kj::Own<MuxStream>> accept();

  // ---- for the session

  // Whether the peer may open a stream of that name.
  using Admit = kj::FunctionParam<MuxAdmission(kj::StringPtr name)>;

  // One record of the types MUX_FIRST_RECORD_TYPE to MUX_LAST_RECORD_TYPE. Never waits. Not null: the peer has broken
  // the protocol, the text says how, the session must end. memory: if not empty, where the body lies; data is kept in
  // it.
  kj::Maybe<kj::String> take(uint8_t type, kj::ArrayPtr<const kj::byte> body, Admit admit,
                             kj::Array<kj::byte> memory = nullptr);

  // Who gets the streams that are admitted as `served`, from within take().
  using Serve = kj::Function<void(kj::Own<MuxStream>)>;
  void serveWith(Serve function) { serve = kj::mv(function); }

  // Asks again about the streams that the peer opened: one that is not admitted any more is reset, DENIED, at both
  // ends. How many were.
  size_t recheck(Admit admit);

  // Instead of take(), for a DATA of that head whose payload is expected by a reader: where to put it, before anything
  // else happens here. Empty: take() it.
  kj::ArrayPtr<kj::byte> tryPlace(uint8_t type, kj::ArrayPtr<const kj::byte> head, size_t payload);

  // Sends what is to be sent until cancelled; fails when either function does. send: puts the record of that type,
  // whose body is head and payload, behind those before it, and has read them when it returns. written: resolves when
  // all that was put so far is written.
  using SendRecord =
      kj::Function<void(uint8_t type, kj::ArrayPtr<const kj::byte> head, kj::ArrayPtr<const kj::byte> payload)>;
  using Written = kj::Function<kj::Promise<void>()>;
  kj::Promise<void> sendLoop(SendRecord send, Written written);

  // Everything fails as DISCONNECTED from now on.
  void end(kj::StringPtr why);

  const MuxCore& core() const { return muxCore; }

 private:
  class StreamImpl;

  const MuxRole role;
  uint64_t namesGiven = 0;
  kj::Maybe<Serve> serve;
  MuxCore muxCore;
  std::map<MuxStreamId, StreamImpl*> streams;  // those that a program holds
  kj::Maybe<kj::String> ended;
  Signal work;  // something to send
  WaitQueue accepting;

  bool sendBatch(SendRecord& send);
  kj::Maybe<MuxRejection> takeOpen(const MuxOpen& open, Admit& admit);
  void checkLive() const;
  void wakeSender() {
    if (muxCore.hasFrame()) work.fire();
  }
  void changed(MuxStreamId id);
  void changedForWriter(MuxStreamId id);
};

}  // namespace nexus
