#include "daemons/dsoftbusd/mux/mux-stream-core.h"

namespace nexus {

kj::StringPtr muxStateName(MuxState state) {
  switch (state) {
    case MuxState::OPEN:
      return "open"_kj;
    case MuxState::HALF_CLOSED_LOCAL:
      return "half closed (local)"_kj;
    case MuxState::HALF_CLOSED_REMOTE:
      return "half closed (remote)"_kj;
    case MuxState::CLOSED:
      return "closed"_kj;
    case MuxState::RESET:
      return "reset"_kj;
  }
  return "unknown"_kj;
}

kj::StringPtr muxRejectLabel(MuxReject reject) {
  switch (reject) {
    case MuxReject::FRAME_OVERSIZE:
      return "mux.reject.frame_oversize"_kj;
    case MuxReject::INVALID_STREAM_STATE_TRANSITION:
      return "mux.reject.invalid_stream_state_transition"_kj;
    case MuxReject::WINDOW_CREDIT_OVERFLOW_OR_UNDERFLOW:
      return "mux.reject.window_credit_overflow_or_underflow"_kj;
    case MuxReject::UNKNOWN_STREAM_FRAME:
      return "mux.reject.unknown_stream_frame"_kj;
    case MuxReject::UNAUTHENTICATED_SESSION:
      return "mux.reject.unauthenticated_session"_kj;
    case MuxReject::STREAM_LIMIT_EXCEEDED:
      return "mux.reject.stream_limit_exceeded"_kj;
    case MuxReject::DUPLICATE_STREAM_NAME:
      return "mux.reject.duplicate_stream_name"_kj;
    case MuxReject::INVALID_STREAM_NAME:
      return "mux.reject.invalid_stream_name"_kj;
  }
  return "unknown"_kj;
}

MuxStreamCore::MuxStreamCore(MuxStreamId id, kj::StringPtr name, kj::byte priority, Opener opener)
    : id(id),
      name(kj::str(name)),
      priority(priority),
      opener(opener),
      acknowledged(opener == Opener::PEER),
      owesOpen(opener == Opener::US),
      owesAck(opener == Opener::PEER) {}

// ---- what our program does

MuxSendResult MuxStreamCore::send(kj::ArrayPtr<const kj::byte> payload) {
  if (payload.size() > MUX_MAX_DATA) return MuxReject::FRAME_OVERSIZE;
  if (currentState != MuxState::OPEN && currentState != MuxState::HALF_CLOSED_REMOTE) {
    return MuxReject::INVALID_STREAM_STATE_TRANSITION;
  }
  if (offering.size() > 0) return MuxWouldBlock{sendCredit};  // it would overtake
  if (payload.size() > sendCredit || sendQueue.size() + payload.size() > MUX_MAX_BUFFER) {
    return MuxWouldBlock{sendCredit};
  }
  sendCredit -= payload.size();
  sendQueue.push(payload);
  return MuxAccepted{};
}

size_t MuxStreamCore::room() const {
  if (offering.size() > 0) return 0;
  return kj::min(MUX_MAX_DATA, kj::min(sendCredit, MUX_MAX_BUFFER - sendQueue.size()));
}

kj::Maybe<MuxReject> MuxStreamCore::offer(kj::ArrayPtr<const kj::byte> bytes) {
  if (currentState != MuxState::OPEN && currentState != MuxState::HALF_CLOSED_REMOTE) {
    return MuxReject::INVALID_STREAM_STATE_TRANSITION;
  }
  offering = bytes;
  return nullptr;
}

size_t MuxStreamCore::read(kj::ArrayPtr<kj::byte> out) {
  size_t n = receiveQueue.pop(out);
  if (n > 0) growWindow(n);
  return n;
}

void MuxStreamCore::expect(kj::ArrayPtr<kj::byte> out) {
  KJ_REQUIRE(receiveBuffered() == 0, "there is something to read");
  expecting = out;
}

size_t MuxStreamCore::collect() {
  size_t n = placed;
  placed = 0;
  expecting = nullptr;
  if (n > 0) growWindow(n);
  return n;
}

void MuxStreamCore::giveUp() {
  if (placed > 0) receiveQueue.pushFront(expecting.slice(0, placed));
  placed = 0;
  expecting = nullptr;
}

void MuxStreamCore::growWindow(size_t n) {
  grant += n;
  drained += n;
  if (drained < window || window >= MUX_MAX_BUFFER) return;
  auto extra = kj::min(window, MUX_MAX_BUFFER - window);
  window += extra;
  grant += extra;
  drained = 0;
}

kj::Maybe<MuxReject> MuxStreamCore::close() {
  switch (currentState) {
    case MuxState::OPEN:
      currentState = MuxState::HALF_CLOSED_LOCAL;
      break;
    case MuxState::HALF_CLOSED_REMOTE:
      currentState = MuxState::CLOSED;
      break;
    default:
      return MuxReject::INVALID_STREAM_STATE_TRANSITION;
  }
  owesClose = true;
  offering = nullptr;
  return nullptr;
}

void MuxStreamCore::becomeReset(MuxResetReason why, uint64_t decision) {
  currentState = MuxState::RESET;
  reason = why;
  auditId = decision;
  sendQueue.clear();
  offering = nullptr;
  if (!endReceived) cutReading();  // what is whole stays readable
  owesClose = resetAfterClose = owesAck = false;
}

void MuxStreamCore::cutReading() {
  receiveQueue.clear();
  placed = 0;
  expecting = nullptr;
  cutOff = true;
}

kj::Maybe<MuxReject> MuxStreamCore::reset(MuxResetReason why, uint64_t decision) {
  if (currentState == MuxState::RESET) return nullptr;
  // A close that still waits behind its data can be taken back by a reset.
  if (currentState == MuxState::CLOSED && !owesClose) return MuxReject::INVALID_STREAM_STATE_TRANSITION;
  becomeReset(why, decision);
  cutReading();
  if (owesOpen) {
    // The peer has not heard of it and never will.
    owesOpen = false;
    rstSent = rstReceived = true;
  } else {
    owesRst = why;
  }
  return nullptr;
}

void MuxStreamCore::release() {
  released = true;
  bool lost = receiveBuffered() > 0 && !endReceived;
  receiveQueue.clear();
  placed = 0;
  expecting = nullptr;
  offering = nullptr;
  if (isTerminal()) return;
  if (currentState != MuxState::HALF_CLOSED_LOCAL) {
    KJ_ASSERT(close() == nullptr);
  }
  if (lost) resetBehindClose();  // else the peer could wait for ever for the credit of what nobody reads
}

void MuxStreamCore::resetBehindClose() {
  if (closeSent) {
    KJ_ASSERT(reset(MuxResetReason::ABORTED) == nullptr);
  } else {
    resetAfterClose = true;
  }
}

// ---- what the peer does

kj::Maybe<MuxReject> MuxStreamCore::takeOpenAck() {
  if (acknowledged || isTerminal()) return MuxReject::INVALID_STREAM_STATE_TRANSITION;
  acknowledged = true;
  return nullptr;
}

kj::Maybe<MuxReject> MuxStreamCore::takeDataFault(size_t size) const {
  if (size > MUX_MAX_DATA) return MuxReject::FRAME_OVERSIZE;
  if (!acknowledged || (currentState != MuxState::OPEN && currentState != MuxState::HALF_CLOSED_LOCAL)) {
    return MuxReject::INVALID_STREAM_STATE_TRANSITION;
  }
  if (size > peerCredit || receiveBuffered() + size > MUX_MAX_BUFFER) {
    return MuxReject::WINDOW_CREDIT_OVERFLOW_OR_UNDERFLOW;
  }
  return nullptr;
}

kj::Maybe<MuxReject> MuxStreamCore::takeData(kj::ArrayPtr<const kj::byte> payload, kj::Array<kj::byte> memory) {
  KJ_IF_MAYBE (fault, takeDataFault(payload.size())) return *fault;
  peerCredit -= payload.size();
  receivedBytes += payload.size();
  if (released) {
    resetBehindClose();
  } else if (memory.size() > 0) {
    receiveQueue.push(payload, kj::mv(memory));
  } else {
    receiveQueue.push(payload);
  }
  return nullptr;
}

kj::ArrayPtr<kj::byte> MuxStreamCore::tryPlace(size_t size) {
  bool fits = expecting.size() - placed >= size && receiveQueue.size() == 0;  // else it would overtake
  if (!fits || takeDataFault(size) != nullptr) return nullptr;
  auto place = expecting.slice(placed, placed + size);
  placed += size;
  peerCredit -= size;
  receivedBytes += size;
  return place;
}

kj::Maybe<MuxReject> MuxStreamCore::takeWindowUpdate(int64_t delta) {
  // 64 bits throughout: credit is at most 2^32 - 1, so only the delta itself can be out of range.
  constexpr auto MAX = static_cast<int64_t>(MUX_MAX_CREDIT);
  if (delta > MAX || delta < -MAX) return MuxReject::WINDOW_CREDIT_OVERFLOW_OR_UNDERFLOW;
  auto sum = static_cast<int64_t>(sendCredit) + delta;
  if (sum < 0 || sum > MAX) return MuxReject::WINDOW_CREDIT_OVERFLOW_OR_UNDERFLOW;
  sendCredit = sum;
  return nullptr;
}

kj::Maybe<MuxReject> MuxStreamCore::takeClose() {
  if (!acknowledged) return MuxReject::INVALID_STREAM_STATE_TRANSITION;
  switch (currentState) {
    case MuxState::OPEN:
      currentState = MuxState::HALF_CLOSED_REMOTE;
      break;
    case MuxState::HALF_CLOSED_LOCAL:
      currentState = MuxState::CLOSED;
      break;
    case MuxState::RESET:
      endReceived = true;  // nothing but updates and resets can follow
      return MuxReject::INVALID_STREAM_STATE_TRANSITION;
    default:
      return MuxReject::INVALID_STREAM_STATE_TRANSITION;
  }
  endReceived = true;
  return nullptr;
}

kj::Maybe<MuxReject> MuxStreamCore::takeRst(MuxResetReason why, uint64_t decision) {
  if (currentState == MuxState::CLOSED && !owesClose) return MuxReject::INVALID_STREAM_STATE_TRANSITION;
  bool known = currentState == MuxState::RESET;
  if (!known) becomeReset(why, decision);
  // The peer forgets the stream when it hears our CLOSE or our RST.
  if (!known && !closeSent) owesRst = MuxResetReason::ABORTED;
  rstReceived = true;
  return nullptr;
}

// ---- what is to be sent

bool MuxStreamCore::owesUpdate() const {
  bool mayStillSend = currentState == MuxState::OPEN || currentState == MuxState::HALF_CLOSED_LOCAL;
  // Small reads cost no record each; of a large window, a quarter is enough: then the sender hears of it before it has
  // used up the rest, and neither end waits for the other.
  return mayStillSend && grant >= kj::min(window / 2, MUX_WORTH_UPDATE);
}

MuxOutgoing MuxStreamCore::takeControl() {
  if (owesOpen) {
    owesOpen = false;
    return {MuxOpen{id, priority, name.asArray()}, nullptr};
  }
  if (owesAck) {
    owesAck = false;
    return {MuxOpenAck{id}, nullptr};
  }
  KJ_IF_MAYBE (why, owesRst) {
    // The answer to a RST has no decision of ours behind it.
    MuxRst rst{id, *why, rstReceived ? 0 : auditId};
    owesRst = nullptr;
    rstSent = true;
    return {rst, nullptr};
  }
  KJ_ASSERT(owesUpdate());
  MuxWindowUpdate update{id, static_cast<int64_t>(grant)};
  peerCredit += grant;
  grant = 0;
  return {update, nullptr};
}

MuxOutgoing MuxStreamCore::takeTurn() {
  if (sendQueue.size() > 0) {
    auto piece = sendQueue.take(MUX_MAX_DATA);
    sentBytes += piece.bytes.size();
    return {MuxData{id, piece.bytes}, kj::mv(piece.memory)};
  }
  if (offering.size() > 0 && sendCredit > 0) {
    auto piece = offering.slice(0, kj::min(offering.size(), kj::min(sendCredit, MUX_MAX_DATA)));
    offering = offering.slice(piece.size(), offering.size());
    sendCredit -= piece.size();
    sentBytes += piece.size();
    return {MuxData{id, piece}, nullptr};
  }
  KJ_ASSERT(owesClose);
  owesClose = false;
  closeSent = true;
  // When the peer has closed meanwhile there is nothing to stop any more.
  if (resetAfterClose && currentState == MuxState::HALF_CLOSED_LOCAL) {
    KJ_ASSERT(reset(MuxResetReason::ABORTED) == nullptr);
  }
  return {MuxClose{id}, nullptr};
}

bool MuxStreamCore::isOver() const {
  if (!released || owesOpen || owesAck || owesRst != nullptr || wantsTurn()) return false;
  return (closeSent || rstSent) && (endReceived || rstReceived);
}

void MuxStreamCore::checkInvariants() const {
  KJ_ASSERT(sendCredit <= MUX_MAX_CREDIT);
  KJ_ASSERT(sendQueue.size() <= MUX_MAX_BUFFER);
  KJ_ASSERT(receiveBuffered() <= MUX_MAX_BUFFER);
  KJ_ASSERT(placed <= expecting.size());
  KJ_ASSERT(offering.size() == 0 || (!released && !owesClose && !isTerminal()));
  KJ_ASSERT(window >= MUX_INITIAL_CREDIT && window <= MUX_MAX_BUFFER);
  auto sum = peerCredit + grant + receiveBuffered();
  KJ_ASSERT(sum <= window, sum, window);
  if (!released && currentState != MuxState::RESET) {
    KJ_ASSERT(sum == window, sum, window);
  }
  KJ_ASSERT(currentState != MuxState::RESET || !wantsTurn());
}

}  // namespace nexus
