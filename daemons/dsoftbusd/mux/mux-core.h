#pragma once
// All streams of one session, as one end sees them: the table, ids, names, who sends next, what a frame of the peer
// does. Pure: frames and bytes in, frames and verdicts out. Owned by the driver (mux.h) or a test; knows nothing of
// records, programs or time (silence and pings are the session's).
//
// Either end opens streams. The initiator of the session takes odd ids, the responder even ones, each in rising order,
// so no id is used twice and none collides. A stream is in the table until both ends have said their last word about it
// and its program has let go; 128 fit. One that is refused is remembered until the peer knows.
//
// Faults of the peer have a label (MuxReject) and a gravity: FATAL ends the session, since no correct peer sends that;
// REFUSED is an OPEN that is answered with a RST; LATE is what crossed our RST or CLOSE on the way, and is dropped and
// counted.
#include <kj/vector.h>

#include <deque>
#include <map>

#include "daemons/dsoftbusd/mux/mux-scheduler.h"
#include "daemons/dsoftbusd/mux/mux-stream-core.h"

namespace nexus {

enum class MuxRole { INITIATOR, RESPONDER };  // of the session
enum class MuxSession { UNAUTHENTICATED, AUTHENTICATED };

struct MuxLimits {
  kj::uint maxStreams = 128;    // in the table, whoever opened them; one more is refused
  kj::uint acceptBacklog = 32;  // opened by the peer, not yet accepted; one more is refused
  kj::uint maxRefused = 128;    // refused, and the peer has not confirmed it; one more ends the session
};

enum class MuxGravity { LATE, REFUSED, FATAL };
struct MuxRejection {
  MuxReject why;
  MuxGravity gravity;
};

class MuxCore {
 public:
  MuxCore(MuxRole role, MuxSession session, const MuxLimits& limits = {});
  KJ_DISALLOW_COPY_AND_MOVE(MuxCore);

  // ---- what our programs do

  // name: 1 to 64 visible ASCII characters that no live stream of the session has. priority: 0 to 7, else FAILED. Data
  // may be sent at once; a refusal comes as a reset.
  kj::OneOf<MuxStreamId, MuxReject> open(kj::ArrayPtr<const char> name, kj::byte priority);

  // The longest waiting stream that the peer opened; null when none waits.
  kj::Maybe<MuxStreamId> accept();

  // The same for one stream; false when that is not waiting.
  bool accept(MuxStreamId id);

  MuxSendResult send(MuxStreamId id, kj::ArrayPtr<const kj::byte> payload);
  size_t read(MuxStreamId id, kj::ArrayPtr<kj::byte> out);
  kj::Maybe<MuxReject> offer(MuxStreamId id, kj::ArrayPtr<const kj::byte> bytes);
  void expect(MuxStreamId id, kj::ArrayPtr<kj::byte> out);
  size_t collect(MuxStreamId id);
  void giveUp(MuxStreamId id);
  kj::Maybe<MuxReject> close(MuxStreamId id);
  kj::Maybe<MuxReject> reset(MuxStreamId id, MuxResetReason why = MuxResetReason::ABORTED, uint64_t auditId = 0);
  void release(MuxStreamId id);  // see MuxStreamCore; whoever opened or accepted it calls this once

  // Null when it is not in the table (any more).
  kj::Maybe<const MuxStreamCore&> find(MuxStreamId id) const;

  // Calls `each` for every stream in the table, by rising id.
  template <typename Func>
  void forEachStream(Func&& each) const {
    for (auto& entry : streams) each(static_cast<const MuxStreamCore&>(*entry.second));
  }

  // ---- what the peer does

  // Null when the frame was taken. memory: if not empty, where the payload of a DATA lies; kept instead of a copy.
  kj::Maybe<MuxRejection> ingest(const MuxFrame& frame, kj::Array<kj::byte> memory = nullptr);

  // Instead of ingest, for a DATA of that size: see MuxStreamCore::tryPlace.
  kj::ArrayPtr<kj::byte> tryPlace(MuxStreamId id, size_t size);

  // What is wrong with an OPEN whatever the state of the table; ingest and refuse look too.
  kj::Maybe<MuxRejection> checkOpen(const MuxOpen& open) const;

  // Instead of ingest, for an OPEN that policy does not let pass. Null when the RST is on its way.
  kj::Maybe<MuxRejection> refuse(const MuxOpen& open, MuxResetReason why, uint64_t auditId = 0);

  // Streams that the peer opened and that may still carry bytes.
  kj::Array<MuxStreamId> streamsOfPeer() const;

  // ---- what is to be sent

  // The next frame: what keeps streams going first, then data by priority. Null when there is nothing. Encode it before
  // the next call.
  kj::Maybe<MuxOutgoing> takeFrame();

  // Whether takeFrame() would give one.
  bool hasFrame() const { return !refusals.empty() || !control.empty() || scheduler.size() > 0; }

  size_t streamCount() const { return streams.size(); }
  size_t backlogSize() const { return backlog.size(); }
  size_t refusedCount() const { return refused.size(); }

  struct Counters {
    uint64_t opened = 0, accepted = 0, refused = 0, late = 0;
    uint64_t bytesSent = 0, bytesReceived = 0, wouldBlock = 0;
  };
  const Counters& counters() const { return counts; }

  void checkInvariants() const;  // FAILED when one is broken; for tests

 private:
  using Streams = std::map<MuxStreamId, kj::Own<MuxStreamCore>>;

  const bool authenticated;
  const MuxLimits limits;
  Streams streams;
  uint64_t nextOwn;            // id of the next stream that we open
  MuxStreamId lastOfPeer = 0;  // highest id that the peer has opened
  std::deque<MuxStreamId> backlog;
  struct Refusal {
    bool told = false, confirmed = false;  // our RST is out; the peer has sent one too
  };
  std::map<MuxStreamId, Refusal> refused;
  std::deque<MuxRst> refusals;      // to be sent
  std::deque<MuxStreamId> control;  // streams that owe a frame other than DATA and CLOSE; each once
  MuxScheduler scheduler;
  Counters counts;

  bool isOwn(MuxStreamId id) const { return (id & 1) == (nextOwn & 1); }
  bool hasLiveName(kj::ArrayPtr<const char> name) const;
  kj::Maybe<MuxRejection> ingestOpen(const MuxOpen& open);
  kj::Maybe<MuxRejection> ingestForgotten(MuxStreamId id, const MuxFrame& frame);
  kj::Maybe<MuxReject> apply(MuxStreamCore& stream, const MuxFrame& frame, kj::Array<kj::byte> memory);
  kj::Maybe<MuxStreamCore&> lookUp(MuxStreamId id);
  kj::Maybe<MuxOutgoing> takeControl();
  void afterChange(MuxStreamCore& stream);
};

}  // namespace nexus
