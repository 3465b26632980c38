#pragma once
// One stream of a mux, as one end sees it: its state, the credit and the buffer of each direction, and what it still
// has to tell the peer. Owned by the mux core, which knows ids, names and turns; this knows only itself. Pure.
//
//   state \ event     we close            the peer closes      RST, either way
//   OPEN              HALF_CLOSED_LOCAL   HALF_CLOSED_REMOTE   RESET
//   HALF_CLOSED_LOCAL reject              CLOSED               RESET
//   HALF_CLOSED_REMOTE CLOSED             reject               RESET
//   CLOSED            reject              reject               reject (of the peer's: late, no harm)
//   RESET             reject              reject               RESET (idempotent)
//
// Credit is what may still be sent. We may send what the peer granted; the peer may send what we granted, and more is
// granted only when our reader drains. The window (what the peer may send ahead of the reader) starts at the initial
// credit and doubles, up to the buffer's bound, each time the reader has drained a whole window.
#include <kj/one-of.h>
#include <kj/string.h>

#include "daemons/dsoftbusd/mux/byte-queue.h"
#include "daemons/dsoftbusd/mux/mux-frame.h"

namespace nexus {

constexpr uint64_t MUX_INITIAL_CREDIT = 65536;         // bytes, each way, when a stream opens
constexpr uint64_t MUX_MAX_BUFFER = 262144;            // bytes kept in one direction of one stream
constexpr uint64_t MUX_WORTH_UPDATE = 65536;           // drained bytes that the peer is told of, whatever the window
constexpr uint64_t MUX_MAX_CREDIT = (1ull << 32) - 1;  // a peer cannot grant more

enum class MuxState { OPEN, HALF_CLOSED_LOCAL, HALF_CLOSED_REMOTE, CLOSED, RESET };
kj::StringPtr muxStateName(MuxState state);

enum class MuxReject {
  FRAME_OVERSIZE,
  INVALID_STREAM_STATE_TRANSITION,
  WINDOW_CREDIT_OVERFLOW_OR_UNDERFLOW,
  UNKNOWN_STREAM_FRAME,
  UNAUTHENTICATED_SESSION,
  STREAM_LIMIT_EXCEEDED,
  DUPLICATE_STREAM_NAME,
  INVALID_STREAM_NAME,
};

// "mux.reject.frame_oversize" and so on: stable, for logs and tests.
kj::StringPtr muxRejectLabel(MuxReject reject);

// Not now; nothing has changed. credit: what the peer lets us send at the moment.
struct MuxWouldBlock {
  uint64_t credit;
};
struct MuxAccepted {};
using MuxSendResult = kj::OneOf<MuxAccepted, MuxWouldBlock, MuxReject>;

// A frame to be sent. The view in a DATA points into `memory` or into what a writer offers, that in an OPEN into the
// stream's name.
struct MuxOutgoing {
  MuxFrame frame;
  kj::Array<kj::byte> memory;
};

class MuxStreamCore {
 public:
  enum class Opener { US, PEER };
  MuxStreamCore(MuxStreamId id, kj::StringPtr name, kj::byte priority, Opener opener);
  KJ_DISALLOW_COPY_AND_MOVE(MuxStreamCore);

  const MuxStreamId id;
  const kj::String name;
  const kj::byte priority;
  const Opener opener;

  MuxState state() const { return currentState; }
  bool isAcknowledged() const { return acknowledged; }
  bool isTerminal() const { return currentState == MuxState::CLOSED || currentState == MuxState::RESET; }
  kj::Maybe<MuxResetReason> resetReason() const { return reason; }
  uint64_t resetAuditId() const { return auditId; }  // of the decision behind the reset; 0: none
  uint64_t credit() const { return sendCredit; }
  uint64_t receiveCredit() const { return peerCredit; }
  size_t sendBuffered() const { return sendQueue.size(); }
  size_t receiveBuffered() const { return receiveQueue.size() + placed; }
  uint64_t bytesSent() const { return sentBytes; }          // payload that was handed to the session
  uint64_t bytesReceived() const { return receivedBytes; }  // payload that arrived, read or not

  // ---- what our program does

  // At most MUX_MAX_DATA bytes, all of them or none.
  MuxSendResult send(kj::ArrayPtr<const kj::byte> payload);

  // How many bytes send() would take now, at most MUX_MAX_DATA; 0 when it would not take one.
  size_t room() const;

  // Instead of send(), for many bytes: they stay with the writer, who keeps them there, and go from there as credit
  // comes. offered(): how many have not gone; a close or a reset takes them back, and so does the writer with an offer
  // of none.
  kj::Maybe<MuxReject> offer(kj::ArrayPtr<const kj::byte> bytes);
  size_t offered() const { return offering.size(); }

  // What has arrived, at most out.size() bytes. This, and nothing else, gives the peer credit.
  size_t read(kj::ArrayPtr<kj::byte> out);

  // A reader who found nothing keeps `out` there for what comes next, which then needs no buffer (tryPlace). collect():
  // how many bytes came so; they are read, and `out` is the reader's again. giveUp(): the same for a reader who goes
  // without them; they wait for the next one.
  void expect(kj::ArrayPtr<kj::byte> out);
  size_t collect();
  void giveUp();

  // The peer has closed, and everything that it sent was read. Never after bytes were dropped by a reset.
  bool atEnd() const { return endReceived && !cutOff && receiveBuffered() == 0; }

  kj::Maybe<MuxReject> close();
  kj::Maybe<MuxReject> reset(MuxResetReason why, uint64_t auditId = 0);

  // The program has let go of it: what was sent still goes out, then a CLOSE. If anything arrives that nobody reads, or
  // has arrived, a RST goes behind that. Nothing may be done to it by the program after this.
  void release();
  bool isReleased() const { return released; }

  // ---- what the peer does. A reject leaves everything as it was.

  kj::Maybe<MuxReject> takeOpenAck();
  // memory: if not empty, where the payload lies; kept instead of a copy.
  kj::Maybe<MuxReject> takeData(kj::ArrayPtr<const kj::byte> payload, kj::Array<kj::byte> memory = nullptr);
  // Instead of takeData(), for a payload of that size: where a reader expects it, and it must be put at once. Empty
  // when none does, there is not room for all of it, or takeData() would refuse it.
  kj::ArrayPtr<kj::byte> tryPlace(size_t size);

  kj::Maybe<MuxReject> takeWindowUpdate(int64_t delta);
  kj::Maybe<MuxReject> takeClose();
  kj::Maybe<MuxReject> takeRst(MuxResetReason why, uint64_t auditId = 0);

  // The OPEN is not out yet, so the peer cannot know of it.
  bool isUnannounced() const { return owesOpen; }

  // In RESET, before the peer can have known: its frames are late, not wrong.
  bool mayBeLate() const { return currentState == MuxState::RESET && !rstReceived; }

  // ---- what is to be sent

  bool owesControl() const { return owesOpen || owesAck || owesRst != nullptr || owesUpdate(); }
  MuxOutgoing takeControl();  // owesControl() must hold

  bool wantsTurn() const { return sendQueue.size() > 0 || (offering.size() > 0 && sendCredit > 0) || owesClose; }
  MuxOutgoing takeTurn();  // wantsTurn() must hold: DATA, or the CLOSE after the last

  // Nobody will say or ask anything about it any more.
  bool isOver() const;

  void checkInvariants() const;  // FAILED when one is broken; for tests

 private:
  MuxState currentState = MuxState::OPEN;
  kj::Maybe<MuxResetReason> reason;
  uint64_t auditId = 0;
  bool acknowledged;

  uint64_t sendCredit = MUX_INITIAL_CREDIT;
  ByteQueue sendQueue;
  kj::ArrayPtr<const kj::byte> offering;  // behind sendQueue

  uint64_t window = MUX_INITIAL_CREDIT;      // peerCredit + grant + receiveQueue + placed
  uint64_t peerCredit = MUX_INITIAL_CREDIT;  // what the peer may still send
  uint64_t grant = 0;                        // drained, but the peer was not told yet
  uint64_t drained = 0;                      // since the window last grew
  ByteQueue receiveQueue;
  kj::ArrayPtr<kj::byte> expecting;  // the waiting reader's
  size_t placed = 0;                 // bytes at its start, which came before those in receiveQueue
  uint64_t sentBytes = 0, receivedBytes = 0;

  bool owesOpen, owesAck, owesClose = false, resetAfterClose = false;
  kj::Maybe<MuxResetReason> owesRst;
  bool closeSent = false, rstSent = false, endReceived = false, rstReceived = false, released = false;
  bool cutOff = false;  // the reader will not see the end

  bool owesUpdate() const;
  kj::Maybe<MuxReject> takeDataFault(size_t size) const;
  void growWindow(size_t n);
  void resetBehindClose();
  void cutReading();
  void becomeReset(MuxResetReason why, uint64_t decision);
};

}  // namespace nexus
