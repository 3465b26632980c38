#include "daemons/dsoftbusd/mux/mux.h"

#include <kj/debug.h>

namespace nexus {

// ---- one stream

class Mux::StreamImpl final : public MuxStream {
 public:
  StreamImpl(kj::Own<Mux> owner, MuxStreamId id) : mux(kj::mv(owner)), stream(id), streamName(kj::str(core().name)) {
    mux->streams[id] = this;
  }
  ~StreamImpl() noexcept(false) {
    mux->streams.erase(stream);
    mux->muxCore.release(stream);
    mux->wakeSender();
  }
  KJ_DISALLOW_COPY_AND_MOVE(StreamImpl);

  Signal changed;

  // implements MuxStream ----

  MuxStreamId id() const override { return stream; }
  kj::StringPtr name() const override { return streamName; }
  kj::byte priority() const override { return core().priority; }
  MuxState state() const override { return core().state(); }

  kj::Promise<kj::Maybe<MuxResetReason>> whenTaken() override {
    for (;;) {
      if (core().isAcknowledged()) co_return nullptr;
      if (core().resetReason() != nullptr) co_return core().resetReason();
      checkConnected();
      co_await changed.wait();
    }
  }

  uint64_t resetAuditId() const override { return core().resetAuditId(); }

  // implements kj::AsyncIoStream ----

  // What can be done at once costs no turn of the event loop.
  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return kj::evalNow([&]() -> kj::Promise<size_t> {
      auto out = kj::arrayPtr(static_cast<kj::byte*>(buffer), maxBytes);
      size_t n = readNow(out);
      if (n >= minBytes || core().atEnd()) return n;
      return readRest(out, n, minBytes);
    });
  }

  kj::Promise<void> write(const void* buffer, size_t size) override {
    auto piece = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
    return kj::evalNow([&]() -> kj::Promise<void> {
      if (!isLarge(piece)) writeNow(piece);
      if (piece.size() == 0) return kj::READY_NOW;
      return writeRest(piece, nullptr);
    });
  }

  // Pieces go in without a pause between them while there is room: small ones share a record.
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return kj::evalNow([&]() -> kj::Promise<void> {
      for (auto i : kj::indices(pieces)) {
        auto piece = pieces[i];
        if (!isLarge(piece)) writeNow(piece);
        if (piece.size() > 0) return writeRest(piece, pieces.slice(i + 1, pieces.size()));
      }
      return kj::READY_NOW;
    });
  }

  kj::Promise<void> whenWriteDisconnected() override {
    while (mux->ended == nullptr && core().state() != MuxState::RESET) co_await changed.wait();
  }

  void shutdownWrite() override {
    // Not there any more, or closed already: then there is nothing to end.
    auto reject = mux->muxCore.close(stream);
    if (reject == nullptr) mux->wakeSender();
  }

  void abortRead() override {
    auto reject = mux->muxCore.reset(stream);
    if (reject == nullptr) mux->wakeSender();
    changed.fire();
  }

 private:
  kj::Own<Mux> mux;
  MuxStreamId stream;
  kj::String streamName;

  // In the table for as long as it is not released.
  const MuxStreamCore& core() const { return KJ_ASSERT_NONNULL(mux->muxCore.find(stream)); }

  size_t readNow(kj::ArrayPtr<kj::byte> out) {
    size_t n = mux->muxCore.read(stream, out);
    if (n > 0) mux->wakeSender();  // the peer may have credit now
    return n;
  }

  size_t collectNow() {
    size_t n = mux->muxCore.collect(stream);
    if (n > 0) mux->wakeSender();
    return n;
  }

  // What comes while it waits goes to `out` without a detour. Cancelled, it leaves what it has not seen to the next.
  kj::Promise<size_t> readRest(kj::ArrayPtr<kj::byte> out, size_t total, size_t minBytes) {
    KJ_DEFER(mux->muxCore.giveUp(stream));
    for (;;) {
      checkConnected();
      mux->muxCore.expect(stream, out.slice(total, out.size()));
      co_await changed.wait();
      total += collectNow();
      total += readNow(out.slice(total, out.size()));
      if (total >= minBytes || core().atEnd()) co_return total;
    }
  }

  // As much as there is room for; `rest` is then what is left.
  void writeNow(kj::ArrayPtr<const kj::byte>& rest) {
    while (rest.size() > 0) {
      checkWritable();
      size_t n = kj::min(core().room(), rest.size());
      if (n == 0) break;
      KJ_ASSERT(mux->muxCore.send(stream, rest.slice(0, n)).is<MuxAccepted>());
      mux->wakeSender();
      rest = rest.slice(n, rest.size());
    }
  }

  kj::Promise<void> writeRest(kj::ArrayPtr<const kj::byte> rest,
                              kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> others) {
    for (;;) {
      if (isLarge(rest)) {
        co_await writeFromWhereItLies(rest);
      } else {
        for (writeNow(rest); rest.size() > 0; writeNow(rest)) co_await changed.wait();
      }
      if (others.size() == 0) co_return;
      rest = others[0];
      others = others.slice(1, others.size());
    }
  }

  // A piece of at least two batches' is not copied into the stream's buffer first: it waits where it is, like any other
  // that finds no room.
  static bool isLarge(kj::ArrayPtr<const kj::byte> piece) { return piece.size() > MAX_BATCH; }

  kj::Promise<void> writeFromWhereItLies(kj::ArrayPtr<const kj::byte> piece) {
    checkWritable();
    KJ_ASSERT(mux->muxCore.offer(stream, piece) == nullptr);
    KJ_DEFER(static_cast<void>(mux->muxCore.offer(stream, nullptr)));
    mux->wakeSender();
    for (; core().offered() > 0; checkWritable()) co_await changed.wait();
  }

  void checkWritable() const {
    checkConnected();
    KJ_REQUIRE(core().state() == MuxState::OPEN || core().state() == MuxState::HALF_CLOSED_REMOTE,
               "the stream was closed for writing");
  }

  void checkConnected() const {
    mux->checkLive();
    KJ_IF_MAYBE (reason, core().resetReason()) {
      kj::throwFatalException(
          KJ_EXCEPTION(DISCONNECTED, "the stream was reset", streamName, muxResetReasonName(*reason), resetAuditId()));
    }
  }
};

// ---- all of them

Mux::Mux(MuxRole role, const MuxLimits& limits) : role(role), muxCore(role, MuxSession::AUTHENTICATED, limits) {}

Mux::~Mux() noexcept(false) = default;

void Mux::checkLive() const {
  KJ_IF_MAYBE (why, ended) {
    kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the session has ended", *why));
  }
}

kj::OneOf<kj::Own<MuxStream>, MuxReject> Mux::open(kj::StringPtr name, kj::byte priority) {
  checkLive();
  auto opened = muxCore.open(name.asArray(), priority);
  KJ_SWITCH_ONEOF(opened) {
    KJ_CASE_ONEOF(reject, MuxReject) {
      return reject;
    }
    KJ_CASE_ONEOF(id, MuxStreamId) {
      wakeSender();
      return kj::Own<MuxStream>(kj::heap<StreamImpl>(kj::addRef(*this), id));
    }
  }
  KJ_UNREACHABLE;
}

kj::String Mux::uniqueName(kj::StringPtr prefix) {
  return kj::str(prefix, '#', role == MuxRole::INITIATOR ? 'i' : 'r', ++namesGiven);
}

kj::Promise<kj::Own<MuxStream>> Mux::accept() {
  checkLive();
  if (accepting.size() >= MAX_ACCEPTING) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many calls wait for a stream of this session"));
  }
  auto self = kj::addRef(*this);
  WaitQueue::Turn turn(accepting);
  for (;;) {
    checkLive();
    if (turn.isFirst()) {
      KJ_IF_MAYBE (id, muxCore.accept()) {
        co_return kj::heap<StreamImpl>(kj::addRef(*this), *id);
      }
    }
    co_await turn.wait();
  }
}

// Policy is asked about names only that could be opened.
kj::Maybe<MuxRejection> Mux::takeOpen(const MuxOpen& open, Admit& admit) {
  KJ_IF_MAYBE (fault, muxCore.checkOpen(open)) return *fault;
  auto admission = admit(kj::heapString(open.name));
  if (!admission.admitted) return muxCore.refuse(open, MuxResetReason::DENIED, admission.auditId);
  auto rejection = muxCore.ingest(open);
  if (rejection == nullptr && admission.served) {
    KJ_ASSERT(muxCore.accept(open.stream));
    KJ_ASSERT_NONNULL(serve)(kj::heap<StreamImpl>(kj::addRef(*this), open.stream));
  }
  return rejection;
}

size_t Mux::recheck(Admit admit) {
  size_t resets = 0;
  for (auto id : muxCore.streamsOfPeer()) {
    auto name = kj::str(KJ_ASSERT_NONNULL(muxCore.find(id)).name);
    auto admission = admit(name);
    if (admission.admitted) continue;
    KJ_ASSERT(muxCore.reset(id, MuxResetReason::DENIED, admission.auditId) == nullptr);
    resets++;
    changed(id);
    wakeSender();
  }
  return resets;
}

kj::Maybe<kj::String> Mux::take(uint8_t type, kj::ArrayPtr<const kj::byte> body, Admit admit,
                                kj::Array<kj::byte> memory) {
  auto parsed = tryParseMuxFrame(type, body);
  KJ_IF_MAYBE (frame, parsed) {
    auto rejection =
        frame->is<MuxOpen>() ? takeOpen(frame->get<MuxOpen>(), admit) : muxCore.ingest(*frame, kj::mv(memory));
    KJ_IF_MAYBE (r, rejection) {
      if (r->gravity == MuxGravity::FATAL) return kj::str(muxRejectLabel(r->why));
    }
    if (frame->is<MuxWindowUpdate>()) {
      changedForWriter(streamOf(*frame));
    } else {
      changed(streamOf(*frame));
    }
    wakeSender();  // an acknowledgement, an answer, or more credit
    if (frame->is<MuxOpen>()) accepting.wake();
    return nullptr;
  }
  return kj::str("a record of type ", type, " that is no frame of the mux");
}

kj::ArrayPtr<kj::byte> Mux::tryPlace(uint8_t type, kj::ArrayPtr<const kj::byte> head, size_t payload) {
  KJ_IF_MAYBE (stream, tryParseMuxDataHead(type, head)) {
    auto place = muxCore.tryPlace(*stream, payload);
    if (place.size() > 0) changed(*stream);  // the reader runs later, and finds it there
    return place;
  }
  return nullptr;
}

// Sends what is to be sent now, at most MAX_BATCH; false when there is nothing.
bool Mux::sendBatch(SendRecord& send) {
  size_t bytes = 0;
  while (bytes < MAX_BATCH) {
    auto outgoing = muxCore.takeFrame();
    KJ_IF_MAYBE (o, outgoing) {
      auto head = encodeMuxHead(o->frame);
      auto payload = muxPayload(o->frame);
      bytes += head.body.size() + payload.size();
      send(head.type, head.body, payload);
      changedForWriter(streamOf(o->frame));  // there may be room again
    } else {
      break;
    }
  }
  return bytes > 0;
}

kj::Promise<void> Mux::sendLoop(SendRecord send, Written written) {
  kj::Promise<void> before = kj::READY_NOW;
  for (;;) {
    if (sendBatch(send)) {
      auto batch = written();
      co_await before;
      before = kj::mv(batch);
    } else {
      co_await work.wait();
    }
  }
}

void Mux::end(kj::StringPtr why) {
  if (ended != nullptr) return;
  ended = kj::str(why);
  for (auto& entry : streams) entry.second->changed.fire();
  accepting.wake();
}

void Mux::changed(MuxStreamId id) {
  auto found = streams.find(id);
  if (found != streams.end()) found->second->changed.fire();
}

// Nothing new for one whose bytes go from where they are: not all of them have gone.
void Mux::changedForWriter(MuxStreamId id) {
  KJ_IF_MAYBE (stream, muxCore.find(id)) {
    if (stream->offered() > 0) return;
  }
  changed(id);
}

}  // namespace nexus
