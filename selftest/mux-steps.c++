#include "selftest/mux-steps.h"

#include <kj/debug.h>
#include <sodium.h>

#include "daemons/dsoftbusd/mux/mux-stream-core.h"
#include "daemons/dsoftbusd/session/signal.h"
#include "selftest/step-runner.h"

namespace nexus {

namespace {

using Kind = MuxNote::Kind;

static_assert(MuxSteps::FIRST_BOUND == MUX_INITIAL_CREDIT && MuxSteps::LARGEST_BOUND == MUX_MAX_BUFFER);
static_assert(MuxSteps::FIRST_BOUND % MuxPipe::CHUNK == 0, "a whole number of writes fits");

// One for each content, so that one stream cannot pass for another.
constexpr uint64_t DATA_THERE = 1, DATA_BACK = 2, PRIORITY_SEED = 3, BULK_SEED = 4, PRESSURE_SEED = 5;

// Round trips in which a write that has room returns: the requests of one program are answered in their order.
constexpr kj::uint PATIENCE = 8;

kj::Array<kj::byte> hashOf(crypto_hash_sha256_state& state) {
  auto digest = kj::heapArray<kj::byte>(crypto_hash_sha256_BYTES);
  crypto_hash_sha256_final(&state, digest.begin());
  return digest;
}

kj::Array<kj::byte> hashOfPattern(uint64_t seed, uint64_t size) {
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  auto chunk = kj::heapArray<kj::byte>(MuxPipe::CHUNK);
  for (uint64_t at = 0; at < size; at += chunk.size()) {
    auto piece = chunk.slice(0, kj::min(size - at, chunk.size()));
    fillPattern(seed, at, piece);
    crypto_hash_sha256_update(&state, piece.begin(), piece.size());
  }
  return hashOf(state);
}

kj::StringPtr refusalText(idl::PeerSession::StreamOutcome outcome) {
  switch (outcome) {
    case idl::PeerSession::StreamOutcome::OK:
      break;
    case idl::PeerSession::StreamOutcome::DENIED:
      return "no rule of the peer allows it"_kj;
    case idl::PeerSession::StreamOutcome::DUPLICATE_NAME:
      return "one of that name is open"_kj;
    case idl::PeerSession::StreamOutcome::TOO_MANY_STREAMS:
      return "too many are open"_kj;
    case idl::PeerSession::StreamOutcome::NOT_ACCEPTED:
      return "nobody accepts it"_kj;
    case idl::PeerSession::StreamOutcome::RESET:
      return "it was reset at once"_kj;
    case idl::PeerSession::StreamOutcome::NOT_TRUSTED:
      return "the peer is not trusted"_kj;
  }
  return "an outcome that this version does not know"_kj;
}

// What both ends have: a session, and the control stream on it.
class MuxEnd : public MuxSteps {
 protected:
  MuxEnd(GetBus bus, kj::StringPtr peer) : bus(kj::mv(bus)), peer(kj::str(peer)) {}

  kj::Promise<void> findSession() {
    auto request = bus().sessionRequest();
    request.setPeer(peer);
    auto response = co_await request.send();
    if (response.getOutcome() != idl::DSoftBus::Outcome::OK)
      failStep(kj::str("there is no session with ", peer, ": outcome ", kj::uint(response.getOutcome())));
    session = response.getSession();
  }

  idl::PeerSession::Client& live() {
    KJ_IF_MAYBE (s, session) return *s;
    failStep("the first mux step found no session");
  }

  MuxPipe& control() {
    KJ_IF_MAYBE (c, controlPipe) return *c;
    failStep("the first mux step opened no control stream");
  }

  GetBus bus;
  kj::String peer;
  kj::Maybe<idl::PeerSession::Client> session;
  kj::Maybe<MuxPipe> controlPipe;
};

class Initiator final : public MuxEnd {
 public:
  Initiator(GetBus bus, kj::StringPtr peer) : MuxEnd(kj::mv(bus), peer) {}

  kj::Promise<void> open() override {
    co_await findSession();
    controlPipe = co_await openStream(CONTROL, CONTROL_PRIORITY);
  }

  kj::Promise<void> data() override {
    co_await control().writePattern(DATA_THERE, DATA_BYTES);
    co_await control().readPattern(DATA_BACK, DATA_BYTES);
  }

  kj::Promise<void> priority() override {
    Upload upload(co_await openStream(PRIORITY, BULK_PRIORITY), PRIORITY_SEED, PRIORITY_BYTES);
    co_await upload.whileIt(echoes(upload));
    co_await upload.finish();
    requireTotal(co_await control().receiveNote(Kind::DONE), PRIORITY_BYTES);
  }

  kj::Promise<void> bulk() override {
    auto pipe = co_await openStream(BULK, BULK_PRIORITY);
    co_await pipe.writePattern(BULK_SEED, BULK_BYTES);
    co_await pipe.close();
    auto digest = co_await pipe.readExactly(crypto_hash_sha256_BYTES);
    if (digest != hashOfPattern(BULK_SEED, BULK_BYTES)) failStep("the peer has another hash of what was sent");
  }

  kj::Promise<void> backpressure() override {
    Upload upload(co_await openStream(PRESSURE, BULK_PRIORITY), PRESSURE_SEED, PRESSURE_BYTES);
    co_await upload.whileIt(fillToTheBound(upload));
    co_await control().sendNote({Kind::READ_ALL, 0});
    co_await upload.finish();
    requireTotal(co_await control().receiveNote(Kind::DONE), PRESSURE_BYTES);
  }

 private:
  // Content that is written in the background, as fast as the stream takes it.
  class Upload {
   public:
    Upload(MuxPipe p, uint64_t seed, uint64_t size)
        : pipe(kj::mv(p)),
          writing(pipe.writePattern(seed, size,
                                    [this](size_t n) {
                                      handed += n;
                                      progress.fire();
                                    })
                      .then([this] { return pipe.close(); })
                      .fork()) {}
    KJ_DISALLOW_COPY_AND_MOVE(Upload);

    uint64_t handed = 0;  // the stream has taken so much

    kj::Promise<void> waitFor(uint64_t wanted) {
      while (handed < wanted) co_await progress.wait();
    }

    // A write that fails, fails `doing` too.
    kj::Promise<void> whileIt(kj::Promise<void> doing) {
      return doing.exclusiveJoin(writing.addBranch().then([]() -> kj::Promise<void> { return kj::NEVER_DONE; }));
    }

    kj::Promise<void> finish() { return writing.addBranch(); }

   private:
    MuxPipe pipe;
    Signal progress;
    kj::ForkedPromise<void> writing;
  };

  kj::Promise<MuxPipe> openStream(kj::StringPtr name, kj::byte priority) {
    auto request = live().openStreamRequest();
    request.setName(name);
    request.setPriority(priority);
    auto response = co_await request.send();
    if (response.getOutcome() != idl::PeerSession::StreamOutcome::OK)
      failStep(kj::str("the peer does not take the stream ", name, ": ", refusalText(response.getOutcome())));
    co_return MuxPipe(response.getStream());
  }

  kj::Promise<uint64_t> ask(MuxNote::Kind kind, uint64_t value = 0) {
    co_await control().sendNote({kind, value});
    co_return co_await control().receiveNote(Kind::ECHOED);
  }

  // Between the echoes the responder reads a little, so the bulk goes on and is filled up again.
  kj::Promise<void> echoes(Upload& upload) {
    uint64_t read = co_await ask(Kind::READ, WARM_UP);
    for (kj::uint i = 0; i < ECHOES; i++) {
      co_await upload.waitFor(read + BULK_AHEAD);
      uint64_t unmoved = co_await ask(Kind::ECHO);
      if (unmoved != read)
        failStep(kj::str("echo ", i + 1, ": the peer had read ", unmoved, " bytes of the bulk, not ", read));
      read = co_await ask(Kind::READ, READ_PER_ECHO);
    }
    co_await control().sendNote({Kind::READ_ALL, 0});
  }

  kj::Promise<void> fillToTheBound(Upload& upload) {
    co_await upload.waitFor(FIRST_BOUND);
    co_await requireStop(upload, FIRST_BOUND);
    uint64_t read = co_await ask(Kind::READ, WARM_UP);
    co_await upload.waitFor(read + BULK_AHEAD);
    for (kj::uint i = 0; i < PATIENCE; i++) co_await ask(Kind::ECHO);
    co_await requireStop(upload, read + LARGEST_BOUND);
  }

  // No further byte is taken, and no more than `bound` were.
  kj::Promise<void> requireStop(Upload& upload, uint64_t bound) {
    uint64_t before = upload.handed;
    for (kj::uint i = 0; i < PATIENCE; i++) co_await ask(Kind::ECHO);
    if (upload.handed != before || before > bound)
      failStep(kj::str("a stream that nobody reads took ", upload.handed, " bytes; the bound is ", bound));
  }

  static void requireTotal(uint64_t arrived, uint64_t sent) {
    if (arrived != sent) failStep(kj::str("of ", sent, " bytes ", arrived, " arrived"));
  }
};

class Responder final : public MuxEnd {
 public:
  Responder(GetBus bus, kj::StringPtr peer) : MuxEnd(kj::mv(bus), peer) {}

  kj::Promise<void> open() override {
    co_await findSession();
    controlPipe = co_await acceptStream(CONTROL, CONTROL_PRIORITY);
  }

  kj::Promise<void> data() override {
    co_await control().readPattern(DATA_THERE, DATA_BYTES);
    co_await control().writePattern(DATA_BACK, DATA_BYTES);
  }

  kj::Promise<void> priority() override {
    auto pipe = co_await acceptStream(PRIORITY, BULK_PRIORITY);
    auto total = co_await serveNotes(pipe, PRIORITY_SEED);
    co_await finish(total, PRIORITY_BYTES);
  }

  kj::Promise<void> bulk() override {
    auto pipe = co_await acceptStream(BULK, BULK_PRIORITY);
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    uint64_t total = 0;
    for (;;) {
      auto piece = co_await pipe.read(MuxPipe::CHUNK);
      if (piece.size() == 0) break;
      crypto_hash_sha256_update(&state, piece.begin(), piece.size());
      total += piece.size();
    }
    auto digest = hashOf(state);
    co_await pipe.write(digest);
    co_await pipe.close();
    if (total != BULK_BYTES) failStep(kj::str("of ", BULK_BYTES, " bytes ", total, " arrived"));
    if (digest != hashOfPattern(BULK_SEED, BULK_BYTES)) failStep("what arrived has another hash");
  }

  kj::Promise<void> backpressure() override {
    auto pipe = co_await acceptStream(PRESSURE, BULK_PRIORITY);
    auto total = co_await serveNotes(pipe, PRESSURE_SEED);
    co_await finish(total, PRESSURE_BYTES);
  }

 private:
  kj::Promise<MuxPipe> acceptStream(kj::StringPtr name, kj::byte priority) {
    auto response = co_await live().acceptStreamRequest().send();
    if (response.getName() != name)
      failStep(kj::str("the peer opened the stream ", response.getName(), ", not ", name));
    if (response.getPriority() != priority)
      failStep(kj::str(name, " came with priority ", response.getPriority(), ", not ", priority));
    co_return MuxPipe(response.getStream());
  }

  // Does what the notes say; every answer tells how much of `pipe` was read.
  kj::Promise<uint64_t> serveNotes(MuxPipe& pipe, uint64_t seed) {
    for (uint64_t total = 0;;) {
      auto note = co_await control().receiveNote();
      if (note.kind == Kind::READ_ALL) co_return co_await pipe.readPatternToEnd(seed);
      if (note.kind == Kind::READ) {
        co_await pipe.readPattern(seed, note.value);
        total += note.value;
      } else if (note.kind != Kind::ECHO) {
        failStep("the peer sends an answer that nobody asked for");
      }
      co_await control().sendNote({Kind::ECHOED, total});
    }
  }

  kj::Promise<void> finish(uint64_t total, uint64_t expected) {
    co_await control().sendNote({Kind::DONE, total});
    if (total != expected) failStep(kj::str("of ", expected, " bytes ", total, " arrived"));
  }
};

}  // namespace

kj::Own<MuxSteps> newMuxInitiator(MuxSteps::GetBus bus, kj::StringPtr peer) {
  return kj::heap<Initiator>(kj::mv(bus), peer);
}

kj::Own<MuxSteps> newMuxResponder(MuxSteps::GetBus bus, kj::StringPtr peer) {
  return kj::heap<Responder>(kj::mv(bus), peer);
}

}  // namespace nexus
