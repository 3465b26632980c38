#include "daemons/dsoftbusd/mux/mux-core.h"

#include <algorithm>

namespace nexus {

namespace {

constexpr MuxRejection fatal(MuxReject why) {
  return {why, MuxGravity::FATAL};
}

bool hasEntry(const std::deque<MuxStreamId>& queue, MuxStreamId id) {
  return std::find(queue.begin(), queue.end(), id) != queue.end();
}

void removeEntry(std::deque<MuxStreamId>& queue, MuxStreamId id) {
  queue.erase(std::remove(queue.begin(), queue.end(), id), queue.end());
}

}  // namespace

MuxCore::MuxCore(MuxRole role, MuxSession session, const MuxLimits& limits)
    : authenticated(session == MuxSession::AUTHENTICATED),
      limits(limits),
      nextOwn(role == MuxRole::INITIATOR ? 1 : 2) {}

// ---- what our programs do

kj::OneOf<MuxStreamId, MuxReject> MuxCore::open(kj::ArrayPtr<const char> name, kj::byte priority) {
  KJ_REQUIRE(priority < MUX_PRIORITIES, "the priority is 0 to 7", priority);
  if (!authenticated) return MuxReject::UNAUTHENTICATED_SESSION;
  if (!isMuxStreamName(name)) return MuxReject::INVALID_STREAM_NAME;
  if (hasLiveName(name)) return MuxReject::DUPLICATE_STREAM_NAME;
  if (streams.size() >= limits.maxStreams) return MuxReject::STREAM_LIMIT_EXCEEDED;
  if (nextOwn > UINT32_MAX) return MuxReject::STREAM_LIMIT_EXCEEDED;  // a new session has new ids
  auto id = static_cast<MuxStreamId>(nextOwn);
  nextOwn += 2;
  auto stream = kj::heap<MuxStreamCore>(id, kj::heapString(name), priority, MuxStreamCore::Opener::US);
  auto& s = *stream;
  streams.emplace(id, kj::mv(stream));
  counts.opened++;
  afterChange(s);
  return id;
}

kj::Maybe<MuxStreamId> MuxCore::accept() {
  if (backlog.empty()) return nullptr;
  auto id = backlog.front();
  backlog.pop_front();
  counts.accepted++;
  return id;
}

bool MuxCore::accept(MuxStreamId id) {
  if (!hasEntry(backlog, id)) return false;
  removeEntry(backlog, id);
  counts.accepted++;
  return true;
}

MuxSendResult MuxCore::send(MuxStreamId id, kj::ArrayPtr<const kj::byte> payload) {
  if (!authenticated) return MuxReject::UNAUTHENTICATED_SESSION;
  KJ_IF_MAYBE (stream, lookUp(id)) {
    auto result = stream->send(payload);
    if (result.is<MuxWouldBlock>()) counts.wouldBlock++;
    afterChange(*stream);
    return result;
  }
  return MuxReject::UNKNOWN_STREAM_FRAME;
}

size_t MuxCore::read(MuxStreamId id, kj::ArrayPtr<kj::byte> out) {
  KJ_IF_MAYBE (stream, lookUp(id)) {
    size_t n = stream->read(out);
    afterChange(*stream);
    return n;
  }
  return 0;
}

kj::Maybe<MuxReject> MuxCore::offer(MuxStreamId id, kj::ArrayPtr<const kj::byte> bytes) {
  KJ_IF_MAYBE (stream, lookUp(id)) {
    auto reject = stream->offer(bytes);
    afterChange(*stream);
    return reject;
  }
  return MuxReject::UNKNOWN_STREAM_FRAME;
}

void MuxCore::expect(MuxStreamId id, kj::ArrayPtr<kj::byte> out) {
  KJ_IF_MAYBE (stream, lookUp(id)) stream->expect(out);
}

size_t MuxCore::collect(MuxStreamId id) {
  KJ_IF_MAYBE (stream, lookUp(id)) {
    size_t n = stream->collect();
    afterChange(*stream);
    return n;
  }
  return 0;
}

void MuxCore::giveUp(MuxStreamId id) {
  KJ_IF_MAYBE (stream, lookUp(id)) stream->giveUp();
}

kj::ArrayPtr<kj::byte> MuxCore::tryPlace(MuxStreamId id, size_t size) {
  KJ_IF_MAYBE (stream, lookUp(id)) {
    auto place = stream->tryPlace(size);
    counts.bytesReceived += place.size();
    return place;
  }
  return nullptr;
}

kj::Maybe<MuxReject> MuxCore::close(MuxStreamId id) {
  KJ_IF_MAYBE (stream, lookUp(id)) {
    auto reject = stream->close();
    afterChange(*stream);
    return reject;
  }
  return MuxReject::UNKNOWN_STREAM_FRAME;
}

kj::Maybe<MuxReject> MuxCore::reset(MuxStreamId id, MuxResetReason why, uint64_t auditId) {
  KJ_IF_MAYBE (stream, lookUp(id)) {
    auto reject = stream->reset(why, auditId);
    afterChange(*stream);
    return reject;
  }
  return MuxReject::UNKNOWN_STREAM_FRAME;
}

void MuxCore::release(MuxStreamId id) {
  KJ_IF_MAYBE (stream, lookUp(id)) {
    stream->release();
    afterChange(*stream);
  }
}

kj::Maybe<const MuxStreamCore&> MuxCore::find(MuxStreamId id) const {
  auto found = streams.find(id);
  if (found == streams.end()) return nullptr;
  return *found->second;
}

kj::Maybe<MuxStreamCore&> MuxCore::lookUp(MuxStreamId id) {
  auto found = streams.find(id);
  if (found == streams.end()) return nullptr;
  return *found->second;
}

bool MuxCore::hasLiveName(kj::ArrayPtr<const char> name) const {
  return std::any_of(streams.begin(), streams.end(), [&](const Streams::value_type& entry) {
    return !entry.second->isTerminal() && entry.second->name.asArray() == name;
  });
}

// Puts the stream into the queues that it belongs to, takes it out of the others, forgets it when it is over.
void MuxCore::afterChange(MuxStreamCore& stream) {
  if (stream.state() == MuxState::RESET && hasEntry(backlog, stream.id)) {
    removeEntry(backlog, stream.id);  // nobody will want it
    stream.release();
  }
  if (stream.owesControl()) {
    if (!hasEntry(control, stream.id)) control.push_back(stream.id);
  } else {
    removeEntry(control, stream.id);
  }
  if (stream.wantsTurn()) {
    scheduler.add(stream.id, stream.priority);
  } else {
    scheduler.remove(stream.id, stream.priority);
  }
  if (stream.isOver()) streams.erase(stream.id);
}

// ---- what the peer does

kj::Maybe<MuxRejection> MuxCore::checkOpen(const MuxOpen& open) const {
  if (!authenticated) return fatal(MuxReject::UNAUTHENTICATED_SESSION);
  if (!isMuxStreamName(open.name)) return fatal(MuxReject::INVALID_STREAM_NAME);
  if (isOwn(open.stream) || open.stream <= lastOfPeer || open.priority >= MUX_PRIORITIES) {
    return fatal(MuxReject::INVALID_STREAM_STATE_TRANSITION);
  }
  return nullptr;
}

kj::Maybe<MuxRejection> MuxCore::refuse(const MuxOpen& open, MuxResetReason why, uint64_t auditId) {
  KJ_IF_MAYBE (fault, checkOpen(open)) return *fault;
  if (refused.size() >= limits.maxRefused) return fatal(MuxReject::STREAM_LIMIT_EXCEEDED);
  lastOfPeer = open.stream;
  refused[open.stream] = {};
  refusals.push_back({open.stream, why, auditId});
  counts.refused++;
  return nullptr;
}

kj::Array<MuxStreamId> MuxCore::streamsOfPeer() const {
  kj::Vector<MuxStreamId> ids;
  for (auto& entry : streams) {
    auto& stream = *entry.second;
    bool live = !stream.isTerminal() || stream.wantsTurn();
    if (stream.opener == MuxStreamCore::Opener::PEER && live) ids.add(entry.first);
  }
  return ids.releaseAsArray();
}

kj::Maybe<MuxRejection> MuxCore::ingestOpen(const MuxOpen& open) {
  auto refuseWith = [&](MuxResetReason reason, MuxReject why) -> kj::Maybe<MuxRejection> {
    KJ_IF_MAYBE (fault, refuse(open, reason)) return *fault;
    return MuxRejection{why, MuxGravity::REFUSED};
  };
  KJ_IF_MAYBE (fault, checkOpen(open)) return *fault;
  if (hasLiveName(open.name)) return refuseWith(MuxResetReason::DUPLICATE_NAME, MuxReject::DUPLICATE_STREAM_NAME);
  if (streams.size() >= limits.maxStreams) {
    return refuseWith(MuxResetReason::STREAM_LIMIT, MuxReject::STREAM_LIMIT_EXCEEDED);
  }
  if (backlog.size() >= limits.acceptBacklog) {
    return refuseWith(MuxResetReason::BACKLOG_FULL, MuxReject::STREAM_LIMIT_EXCEEDED);
  }
  lastOfPeer = open.stream;
  auto stream =
      kj::heap<MuxStreamCore>(open.stream, kj::heapString(open.name), open.priority, MuxStreamCore::Opener::PEER);
  auto& s = *stream;
  streams.emplace(open.stream, kj::mv(stream));
  backlog.push_back(open.stream);
  afterChange(s);
  return nullptr;
}

kj::Maybe<MuxReject> MuxCore::apply(MuxStreamCore& stream, const MuxFrame& frame, kj::Array<kj::byte> memory) {
  KJ_SWITCH_ONEOF(frame) {
    KJ_CASE_ONEOF(ack, MuxOpenAck) {
      return stream.takeOpenAck();
    }
    KJ_CASE_ONEOF(data, MuxData) {
      auto reject = stream.takeData(data.payload, kj::mv(memory));
      if (reject == nullptr) counts.bytesReceived += data.payload.size();
      return reject;
    }
    KJ_CASE_ONEOF(update, MuxWindowUpdate) {
      return stream.takeWindowUpdate(update.delta);
    }
    KJ_CASE_ONEOF(rst, MuxRst) {
      return stream.takeRst(rst.reason, rst.auditId);
    }
    KJ_CASE_ONEOF(close, MuxClose) {
      return stream.takeClose();
    }
    KJ_CASE_ONEOF(open, MuxOpen) {
      KJ_UNREACHABLE;
    }
  }
  KJ_UNREACHABLE;
}

kj::Maybe<MuxRejection> MuxCore::ingest(const MuxFrame& frame, kj::Array<kj::byte> memory) {
  if (!authenticated) return fatal(MuxReject::UNAUTHENTICATED_SESSION);
  if (frame.is<MuxOpen>()) return ingestOpen(frame.get<MuxOpen>());
  auto id = streamOf(frame);
  KJ_IF_MAYBE (stream, lookUp(id)) {
    if (stream->isUnannounced()) return fatal(MuxReject::UNKNOWN_STREAM_FRAME);
    bool late = stream->mayBeLate() && !frame.is<MuxRst>();
    // Of a closed stream the peer may not have heard yet when it reset it.
    late = late || (stream->state() == MuxState::CLOSED && frame.is<MuxRst>());
    auto reject = apply(*stream, frame, kj::mv(memory));
    afterChange(*stream);
    KJ_IF_MAYBE (why, reject) {
      if (!late) return fatal(*why);
      counts.late++;
      return MuxRejection{*why, MuxGravity::LATE};
    }
    return nullptr;
  }
  return ingestForgotten(id, frame);
}

// A frame for a stream that is not in the table: refused, over, or never opened.
kj::Maybe<MuxRejection> MuxCore::ingestForgotten(MuxStreamId id, const MuxFrame& frame) {
  auto late = [&](MuxReject why) {
    counts.late++;
    return MuxRejection{why, MuxGravity::LATE};
  };
  auto found = refused.find(id);
  if (found != refused.end()) {
    if (frame.is<MuxOpenAck>()) return fatal(MuxReject::INVALID_STREAM_STATE_TRANSITION);
    bool isRst = frame.is<MuxRst>();
    if (isRst || frame.is<MuxClose>()) {
      // Its last word, whether it has heard our RST or not: what can follow does no harm to a stream that is forgotten.
      found->second.confirmed = true;
      if (found->second.told) refused.erase(found);
    }
    if (isRst) return nullptr;
    return late(MuxReject::INVALID_STREAM_STATE_TRANSITION);
  }
  bool once = isOwn(id) ? id < nextOwn : id <= lastOfPeer;
  if (!once) return fatal(MuxReject::UNKNOWN_STREAM_FRAME);
  if (frame.is<MuxWindowUpdate>() || frame.is<MuxRst>()) return late(MuxReject::INVALID_STREAM_STATE_TRANSITION);
  return fatal(MuxReject::INVALID_STREAM_STATE_TRANSITION);
}

// ---- what is to be sent

kj::Maybe<MuxOutgoing> MuxCore::takeControl() {
  if (!refusals.empty()) {
    auto rst = refusals.front();
    refusals.pop_front();
    auto found = refused.find(rst.stream);
    found->second.told = true;
    if (found->second.confirmed) refused.erase(found);
    return MuxOutgoing{rst, nullptr};
  }
  if (control.empty()) return nullptr;
  auto& stream = KJ_ASSERT_NONNULL(lookUp(control.front()));
  return stream.takeControl();
}

kj::Maybe<MuxOutgoing> MuxCore::takeFrame() {
  auto outgoing = takeControl();
  if (outgoing == nullptr) {
    KJ_IF_MAYBE (id, scheduler.next()) {
      outgoing = KJ_ASSERT_NONNULL(lookUp(*id)).takeTurn();
    }
  }
  KJ_IF_MAYBE (o, outgoing) {
    if (o->frame.is<MuxData>()) counts.bytesSent += o->frame.get<MuxData>().payload.size();
    KJ_IF_MAYBE (stream, lookUp(streamOf(o->frame))) afterChange(*stream);
  }
  return outgoing;
}

void MuxCore::checkInvariants() const {
  KJ_ASSERT(streams.size() <= limits.maxStreams);
  KJ_ASSERT(backlog.size() <= limits.acceptBacklog);
  KJ_ASSERT(refused.size() <= limits.maxRefused && refusals.size() <= refused.size());
  KJ_ASSERT(control.size() <= streams.size());
  size_t turns = 0;
  for (auto& entry : streams) {
    auto& stream = *entry.second;
    stream.checkInvariants();
    KJ_ASSERT(!stream.isOver());
    KJ_ASSERT(stream.owesControl() == hasEntry(control, stream.id));
    KJ_ASSERT(stream.wantsTurn() == scheduler.contains(stream.id, stream.priority));
    if (stream.wantsTurn()) turns++;
  }
  KJ_ASSERT(scheduler.size() == turns, "one entry for each stream with work, none for others");
}

}  // namespace nexus
