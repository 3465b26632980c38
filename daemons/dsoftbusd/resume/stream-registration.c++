#include "daemons/dsoftbusd/resume/stream-registration.h"

#include <kj/debug.h>

namespace nexus {

namespace {

constexpr kj::Duration FIRST_DELAY = 250 * kj::MILLISECONDS, LARGEST_DELAY = 8 * kj::SECONDS;  // after a refusal

}  // namespace

// A stream that says when it is over: let go of, reset, or cut off by the end of its session.
class StreamRegistration::Watched final : public MuxStream {
 public:
  Watched(kj::Own<MuxStream> inner, kj::Own<Use> use)
      : use(kj::mv(use)),
        inner(kj::mv(inner)),
        watching(this->inner->whenWriteDisconnected().then([this] { this->use->end(); }).eagerlyEvaluate(nullptr)) {
    this->use->lives = true;
  }
  ~Watched() noexcept(false) { use->end(); }
  KJ_DISALLOW_COPY_AND_MOVE(Watched);

  // implements MuxStream ----

  MuxStreamId id() const override { return inner->id(); }
  kj::StringPtr name() const override { return inner->name(); }
  kj::byte priority() const override { return inner->priority(); }
  uint64_t resetAuditId() const override { return inner->resetAuditId(); }
  MuxState state() const override { return inner->state(); }
  kj::Promise<kj::Maybe<MuxResetReason>> whenTaken() override { return inner->whenTaken(); }

  // implements kj::AsyncIoStream ----

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return inner->tryRead(buffer, minBytes, maxBytes);
  }
  kj::Promise<void> write(const void* buffer, size_t size) override { return inner->write(buffer, size); }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return inner->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner->whenWriteDisconnected(); }
  void shutdownWrite() override { inner->shutdownWrite(); }
  void abortRead() override { inner->abortRead(); }

 private:
  kj::Own<Use> use;
  kj::Own<MuxStream> inner;
  kj::Promise<void> watching;  // last: waits in the stream
};

StreamRegistration::StreamRegistration(kj::Own<PeerLink> l, kj::StringPtr name, kj::byte priority, kj::Timer& timer,
                                       kj::Own<ClientTotals> totals)
    : link(kj::mv(l)),
      name(kj::str(name)),
      priority(priority),
      timer(timer),
      totals(kj::mv(totals)),
      backoff(FIRST_DELAY, LARGEST_DELAY),
      notBefore(timer.now()),
      use(kj::refcounted<Use>()) {}

StreamRegistration::~StreamRegistration() noexcept(false) = default;

kj::Promise<StreamRegistration::Next> StreamRegistration::next() {
  if (asked) kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "a call waits for this registration's next stream"));
  asked = true;
  KJ_DEFER(asked = false);
  for (;;) {
    if (link->isRevoked() || link->state() == idl::SessionState::REFUSED) co_return NotTrusted{};
    auto session = link->session();
    if (use->lives) {
      co_await use->over.wait().exclusiveJoin(link->whenChanged());
    } else if (timer.now() < notBefore) {
      co_await timer.atTime(notBefore).exclusiveJoin(link->whenChanged());
    } else if (session == nullptr) {
      co_await link->whenChanged();
    } else {
      auto result = co_await open(KJ_ASSERT_NONNULL(session)->mux());
      KJ_IF_MAYBE (next, result) co_return kj::mv(*next);
    }
  }
}

// Null when it is to be tried again: the session was lost on the way, or the name is not free yet.
kj::Promise<kj::Maybe<StreamRegistration::Next>> StreamRegistration::open(Mux& mux) {
  if (lastStillCloses(mux)) {
    notBefore = timer.now() + backoff.next();
    co_return nullptr;
  }
  auto opened = mux.open(name, priority);
  if (opened.is<MuxReject>()) co_return refused(opened.get<MuxReject>());
  auto stream = kj::mv(opened.get<kj::Own<MuxStream>>());
  bool done = false;
  // Cancelled: nobody will have it, so it is not closed in order, which would wait for the peer.
  KJ_DEFER(if (!done) stream->abortRead());
  using Taken = kj::OneOf<kj::Maybe<MuxResetReason>, Lost>;
  auto taken = co_await stream->whenTaken().then([](kj::Maybe<MuxResetReason> reason) -> Taken { return reason; },
                                                 [](kj::Exception&& exception) -> Taken {
                                                   if (exception.getType() != kj::Exception::Type::DISCONNECTED)
                                                     kj::throwFatalException(kj::mv(exception));
                                                   return Lost{};
                                                 });
  done = true;
  if (taken.is<Lost>()) co_return nullptr;
  KJ_IF_MAYBE (reason, taken.get<kj::Maybe<MuxResetReason>>())
    co_return refused(Refused{*reason, stream->resetAuditId()});
  backoff.reset();
  lastMux = kj::addRef(mux);
  lastId = stream->id();
  if (++given > 1) totals->streamsResumed++;
  co_return Next(kj::Own<MuxStream>(kj::heap<Watched>(kj::mv(stream), kj::addRef(*use))));
}

// The holder has let go of the last stream, and the peer has not closed its side yet: the name is still taken.
bool StreamRegistration::lastStillCloses(const Mux& mux) const {
  KJ_IF_MAYBE (last, lastMux) {
    if (last->get() != &mux) return false;
    KJ_IF_MAYBE (stream, mux.core().find(lastId)) return !stream->isTerminal();
  }
  return false;
}

// Whoever asks again at once is not let hammer the peer.
StreamRegistration::Next StreamRegistration::refused(Next why) {
  notBefore = timer.now() + backoff.next();
  return why;
}

}  // namespace nexus
