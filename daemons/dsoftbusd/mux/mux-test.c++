#include "daemons/dsoftbusd/mux/mux.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

kj::Exception::Type failureOf(kj::Function<void()> func) {
  auto failure = kj::runCatchingExceptions([&] { func(); });
  REQUIRE(failure != nullptr);
  return KJ_ASSERT_NONNULL(failure).getType();
}

// Two drivers and a link that takes its time for each record.
struct Fixture {
  SimClock sim;
  kj::Duration perRecord;
  kj::String onlyName;  // if not empty, b lets no other pass
  kj::Own<Mux> a = kj::refcounted<Mux>(MuxRole::INITIATOR), b = kj::refcounted<Mux>(MuxRole::RESPONDER);
  kj::Vector<kj::String> faults;
  size_t placed = 0;  // bytes that went to where a reader waited
  kj::Promise<void> sending[2];

  explicit Fixture(kj::Duration perRecord = 0 * kj::SECONDS)
      : perRecord(perRecord), sending{carry(*a, *b), carry(*b, *a)} {}

  kj::Promise<void> carry(Mux& from, Mux& to) {
    auto line = kj::heap<kj::ForkedPromise<void>>(kj::Promise<void>(kj::READY_NOW).fork());
    auto& l = *line;
    return from
        .sendLoop(
            [this, &to, &l](uint8_t type, kj::ArrayPtr<const kj::byte> head, kj::ArrayPtr<const kj::byte> payload) {
              kj::Vector<kj::byte> body;
              body.addAll(head), body.addAll(payload);
              l = l.addBranch()
                      .then([this, &to, type, body = body.releaseAsArray()]() mutable {
                        return deliver(to, type, kj::mv(body));
                      })
                      .fork();
            },
            [&l] { return l.addBranch(); })
        .attach(kj::mv(line))
        .eagerlyEvaluate(nullptr);
  }
  kj::Promise<void> deliver(Mux& to, uint8_t type, kj::Array<kj::byte> body) {
    if (perRecord > 0 * kj::SECONDS) {
      co_await sim.timer.afterDelay(perRecord);
    } else {
      co_await kj::evalLater([] {});
    }
    // As a receiver does: what is expected goes where it is expected.
    auto head = body.slice(0, kj::min(body.size(), MUX_DATA_HEAD));
    auto place = to.tryPlace(type, head, body.size() - head.size());
    placed += place.size();
    if (place.size() > 0) {
      memcpy(place.begin(), body.begin() + head.size(), place.size());
      co_return;
    }
    KJ_IF_MAYBE (fault, to.take(type, body, [this](kj::StringPtr name) { return admit(name); }))
      faults.add(kj::mv(*fault));
  }

  MuxAdmission admit(kj::StringPtr name) const {
    if (onlyName.size() == 0 || name == onlyName) return {true, 0};
    return {false, 7};
  }

  kj::Own<MuxStream> open(kj::StringPtr name, kj::byte priority = 4) {
    auto opened = a->open(name, priority);
    REQUIRE(opened.is<kj::Own<MuxStream>>());
    return kj::mv(opened.get<kj::Own<MuxStream>>());
  }
  kj::Own<MuxStream> accept() { return sim.run(b->accept()); }
  kj::String readAll(kj::AsyncInputStream& stream) { return sim.run(stream.readAllText()); }
  void write(kj::AsyncOutputStream& stream, kj::StringPtr text) { sim.run(stream.write(text.begin(), text.size())); }
};

TEST_CASE("a stream has a name and a priority at both ends and carries text both ways, with a half-close each") {
  Fixture f;
  auto mine = f.open("crossvm/control", 2);
  auto theirs = f.accept();
  CHECK(theirs->name() == "crossvm/control");
  CHECK(theirs->priority() == 2);
  CHECK(theirs->id() == mine->id());
  CHECK(f.sim.run(mine->whenTaken()) == nullptr);
  f.write(*mine, "question");
  mine->shutdownWrite();
  CHECK(f.readAll(*theirs) == "question");
  CHECK(theirs->state() == MuxState::HALF_CLOSED_REMOTE);
  f.write(*theirs, "answer");
  theirs->shutdownWrite();
  CHECK(f.readAll(*mine) == "answer");
  CHECK(mine->state() == MuxState::CLOSED);
  mine->shutdownWrite();  // again does nothing
  mine = nullptr;
  theirs = nullptr;
  f.sim.settle();
  CHECK(f.a->core().streamCount() == 0);
  CHECK(f.b->core().streamCount() == 0);
  CHECK(f.faults.size() == 0);
}

TEST_CASE("a write waits until the peer's reader drains, and goes on as it does") {
  Fixture f;
  auto mine = f.open("bulk");
  auto theirs = f.accept();
  auto data = kj::heapArray<kj::byte>(1 << 20);
  memset(data.begin(), 'x', data.size());
  auto writing = mine->write(data.begin(), data.size());
  f.sim.settle();
  CHECK_FALSE(writing.poll(f.sim.waitScope));
  CHECK(f.b->core().counters().bytesReceived == MUX_INITIAL_CREDIT);
  kj::byte buffer[1000];
  f.sim.run(theirs->tryRead(buffer, 1000, 1000));
  f.sim.settle();
  CHECK(f.b->core().counters().bytesReceived == MUX_INITIAL_CREDIT);  // a little is not worth a record
  auto rest = kj::heapArray<kj::byte>(data.size() - 1000);
  CHECK(f.sim.run(theirs->tryRead(rest.begin(), rest.size(), rest.size())) == rest.size());
  f.sim.run(kj::mv(writing));
}

kj::Array<kj::byte> pattern(size_t size) {
  auto data = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) data[i] = i * 31 + i / 253;
  return data;
}

TEST_CASE("many bytes in one write go from where they are to where a reader waits, in order, between small ones") {
  Fixture f;
  auto mine = f.open("bulk");
  auto theirs = f.accept();
  auto data = pattern(5 * Mux::MAX_BATCH + 77), got = kj::heapArray<kj::byte>(data.size() + 10);
  auto reading = theirs->tryRead(got.begin(), got.size(), got.size());
  f.write(*mine, "first");
  auto writing = mine->write(data.begin(), data.size());
  f.sim.settle();
  CHECK(KJ_ASSERT_NONNULL(f.a->core().find(mine->id())).sendBuffered() == 0);
  f.sim.run(kj::mv(writing));
  f.write(*mine, "after");
  CHECK(f.sim.run(kj::mv(reading)) == got.size());
  CHECK(kj::heapString(got.slice(0, 5).asChars()) == "first");
  CHECK((got.slice(5, got.size() - 5) == data.asPtr()));
  CHECK(kj::heapString(got.slice(got.size() - 5, got.size()).asChars()) == "after");
  CHECK(f.placed == got.size());
  CHECK(f.faults.size() == 0);
}

TEST_CASE("a reader who gives up after its bytes were placed loses none: they are there for the next one") {
  Fixture f;
  auto mine = f.open("bulk");
  auto theirs = f.accept();
  auto data = pattern(MUX_INITIAL_CREDIT);
  auto got = kj::heapArray<kj::byte>(data.size());
  {
    auto out = kj::heapArray<kj::byte>(50000);
    auto reading = theirs->tryRead(out.begin(), 1, out.size());
    auto writing = mine->write(data.begin(), data.size());
    while (f.placed == 0) REQUIRE(f.sim.waitScope.poll(1) > 0);
    CHECK(f.placed == MUX_MAX_DATA);
    CHECK(KJ_ASSERT_NONNULL(f.b->core().find(theirs->id())).receiveBuffered() == f.placed);
  }
  f.b->core().checkInvariants();
  CHECK(f.sim.run(theirs->tryRead(got.begin(), got.size(), got.size())) == got.size());
  CHECK(got == data);
}

TEST_CASE("a writer who gives up takes back what has not gone, and nothing of it is touched any more") {
  Fixture f;
  auto mine = f.open("bulk");
  auto theirs = f.accept();
  {
    auto data = pattern(4 * Mux::MAX_BATCH);
    auto writing = mine->write(data.begin(), data.size());
    f.sim.settle();
    CHECK_FALSE(writing.poll(f.sim.waitScope));
  }
  f.write(*mine, "");
  mine->shutdownWrite();
  auto data = pattern(4 * Mux::MAX_BATCH);
  auto got = f.sim.run(theirs->readAllBytes());
  CHECK((got == data.slice(0, MUX_INITIAL_CREDIT)));  // as much as there was credit for
}

TEST_CASE(
    "a large write on a stream that is reset or whose session ends is DISCONNECTED, a closed one the program's fault") {
  auto data = pattern(4 * Mux::MAX_BATCH);
  auto failureAfter = [&](kj::Function<void(Fixture&, MuxStream&, MuxStream&)> end) {
    Fixture f;
    auto mine = f.open("bulk");
    auto theirs = f.accept();
    auto writing = mine->write(data.begin(), data.size());
    f.sim.settle();
    end(f, *mine, *theirs);
    return failureOf([&] { f.sim.run(kj::mv(writing)); });
  };
  using Type = kj::Exception::Type;
  CHECK(failureAfter([](Fixture&, MuxStream&, MuxStream& theirs) { theirs.abortRead(); }) == Type::DISCONNECTED);
  CHECK(failureAfter([](Fixture&, MuxStream& mine, MuxStream&) { mine.abortRead(); }) == Type::DISCONNECTED);
  CHECK(failureAfter([](Fixture& f, MuxStream&, MuxStream&) { f.a->end("gone"); }) == Type::DISCONNECTED);
  Fixture f;
  auto mine = f.open("bulk");
  mine->shutdownWrite();
  CHECK(failureOf([&] { f.sim.run(mine->write(data.begin(), data.size())); }) == Type::FAILED);
}

TEST_CASE("bytes that were placed for a reader are dropped by a reset like all others") {
  Fixture f;
  auto mine = f.open("bulk");
  auto theirs = f.accept();
  kj::byte out[100];
  auto reading = theirs->tryRead(out, sizeof(out), sizeof(out));
  f.write(*mine, "ten bytes.");
  while (f.placed == 0) REQUIRE(f.sim.waitScope.poll(1) > 0);
  theirs->abortRead();
  CHECK(failureOf([&] { f.sim.run(kj::mv(reading)); }) == kj::Exception::Type::DISCONNECTED);
  f.b->core().checkInvariants();
}

TEST_CASE("control overtakes bulk that waits: it waits for no more than the two batches that were handed over") {
  Fixture f(10 * kj::MILLISECONDS);
  auto control = f.open("control", 0);
  auto controlEnd = f.accept();
  kj::Vector<kj::Own<MuxStream>> bulk;
  for (int i = 0; i < 4; i++) bulk.add(f.open(kj::str("bulk", i), 4));
  f.sim.advance(100 * kj::MILLISECONDS);
  auto data = kj::heapArray<kj::byte>(MUX_INITIAL_CREDIT);
  memset(data.begin(), 'x', data.size());
  for (auto& stream : bulk) f.sim.run(stream->write(data.begin(), data.size()));  // eight records, four handed over
  auto begin = f.sim.timer.now();
  f.write(*control, "now");
  char buffer[3];
  f.sim.run(controlEnd->read(buffer, 3));
  CHECK(f.sim.timer.now() - begin <= 50 * kj::MILLISECONDS);
  CHECK(f.b->core().counters().bytesReceived == 2 * Mux::MAX_BATCH + 3);
}

TEST_CASE("a stream that nobody reads holds up no other") {
  Fixture f;
  auto stuck = f.open("stuck", 0), other = f.open("other", 7);
  auto stuckEnd = f.accept(), otherEnd = f.accept();
  auto data = kj::heapArray<kj::byte>(1 << 20);
  memset(data.begin(), 'x', data.size());
  auto blocked = stuck->write(data.begin(), data.size());
  auto writing = other->write(data.begin(), data.size());
  auto read = kj::heapArray<kj::byte>(data.size());
  CHECK(f.sim.run(otherEnd->tryRead(read.begin(), read.size(), read.size())) == read.size());
  f.sim.run(kj::mv(writing));
  CHECK_FALSE(blocked.poll(f.sim.waitScope));
}

TEST_CASE("a reset ends both directions at both ends, and says why") {
  Fixture f;
  auto mine = f.open("control");
  auto theirs = f.accept();
  f.write(*mine, "never read");
  f.sim.settle();
  auto disconnected = theirs->whenWriteDisconnected();
  auto reading = mine->readAllText();
  CHECK_FALSE(disconnected.poll(f.sim.waitScope));
  mine->abortRead();
  f.sim.run(kj::mv(disconnected));
  CHECK(failureOf([&] { f.sim.run(kj::mv(reading)); }) == kj::Exception::Type::DISCONNECTED);
  CHECK(failureOf([&] { f.readAll(*theirs); }) == kj::Exception::Type::DISCONNECTED);
  CHECK(failureOf([&] { f.write(*theirs, "x"); }) == kj::Exception::Type::DISCONNECTED);
  CHECK(failureOf([&] { f.write(*mine, "x"); }) == kj::Exception::Type::DISCONNECTED);
  theirs->abortRead();
}

TEST_CASE("a write after shutdownWrite is the program's fault") {
  Fixture f;
  auto mine = f.open("control");
  mine->shutdownWrite();
  CHECK(failureOf([&] { f.write(*mine, "x"); }) == kj::Exception::Type::FAILED);
}

TEST_CASE("what was written before the stream was dropped arrives, and then its end") {
  Fixture f;
  auto mine = f.open("control");
  f.write(*mine, "goodbye");
  mine = nullptr;
  auto theirs = f.accept();
  CHECK(f.readAll(*theirs) == "goodbye");
}

TEST_CASE("an OPEN that is not let pass, one of a taken name and one beyond the limit: the opener learns which") {
  Fixture f;
  f.onlyName = kj::str("app/sync");
  auto denied = f.open("app/other"), good = f.open("app/sync");
  CHECK(KJ_ASSERT_NONNULL(f.sim.run(denied->whenTaken())) == MuxResetReason::DENIED);
  CHECK(denied->resetAuditId() == 7);
  CHECK(f.sim.run(good->whenTaken()) == nullptr);
  CHECK(f.b->core().backlogSize() == 1);
  CHECK(f.a->open("app/sync", 0).get<MuxReject>() == MuxReject::DUPLICATE_STREAM_NAME);
  CHECK(failureOf([&] { f.write(*denied, "x"); }) == kj::Exception::Type::DISCONNECTED);
}

TEST_CASE(
    "when the admission of a name ends, streams of it that the peer opened are reset at both ends, others live on") {
  Fixture f;
  auto keptMine = f.open("kept"), goneMine = f.open("gone"), waitingMine = f.open("waiting");
  auto keptTheirs = f.accept(), goneTheirs = f.accept();
  auto own = f.b->open("own", 0).get<kj::Own<MuxStream>>();  // opened by the end that asks again: not in question
  f.write(*goneMine, "unread");
  goneMine->shutdownWrite();
  f.sim.run(own->whenTaken());
  f.onlyName = kj::str("kept");
  CHECK(f.b->recheck([&](kj::StringPtr name) { return f.admit(name); }) == 2);
  CHECK(failureOf([&] { f.write(*goneTheirs, "x"); }) == kj::Exception::Type::DISCONNECTED);
  CHECK(failureOf([&] { f.readAll(*goneMine); }) == kj::Exception::Type::DISCONNECTED);
  CHECK(failureOf([&] { f.readAll(*waitingMine); }) == kj::Exception::Type::DISCONNECTED);
  CHECK(goneMine->resetAuditId() == 7);
  CHECK(goneTheirs->resetAuditId() == 7);
  CHECK(f.b->core().backlogSize() == 0);
  f.write(*keptMine, "still");
  keptMine->shutdownWrite();
  CHECK(f.readAll(*keptTheirs) == "still");
  CHECK(own->state() == MuxState::OPEN);
  CHECK(f.b->recheck([&](kj::StringPtr name) { return f.admit(name); }) == 0);  // once
  CHECK(f.faults.size() == 0);
}

TEST_CASE("when nobody accepts, the backlog fills up and the next OPEN is refused; accepting makes room") {
  Fixture f;
  kj::Vector<kj::Own<MuxStream>> streams;
  for (int i = 0; i < 32; i++) streams.add(f.open(kj::str("s", i)));
  auto refused = f.open("late");
  CHECK(KJ_ASSERT_NONNULL(f.sim.run(refused->whenTaken())) == MuxResetReason::BACKLOG_FULL);
  auto accepted = f.accept();
  CHECK(accepted->name() == "s0");
  auto taken = f.open("later");
  CHECK(f.sim.run(taken->whenTaken()) == nullptr);
}

TEST_CASE("those who accept are served in order; one that gives up takes nothing; one too many is overloaded") {
  Fixture f;
  auto first = f.b->accept();
  {
    auto givesUp = f.b->accept();
    CHECK_FALSE(givesUp.poll(f.sim.waitScope));
  }
  auto third = f.b->accept();
  auto a = f.open("a"), b = f.open("b");
  CHECK(f.sim.run(kj::mv(third))->name() == "b");
  CHECK(f.sim.run(kj::mv(first))->name() == "a");
  kj::Vector<kj::Promise<kj::Own<MuxStream>>> waiting;
  for (kj::uint i = 0; i < Mux::MAX_ACCEPTING; i++) waiting.add(f.b->accept());
  CHECK(failureOf([&] { f.accept(); }) == kj::Exception::Type::OVERLOADED);
}

TEST_CASE("the end of the session fails everything that waits, and everything that comes, as DISCONNECTED") {
  Fixture f;
  auto mine = f.open("control");
  auto theirs = f.accept();
  auto data = kj::heapArray<kj::byte>(1 << 20);
  memset(data.begin(), 'x', data.size());
  auto writing = mine->write(data.begin(), data.size());
  auto reading = mine->readAllText();
  auto accepting = f.a->accept();
  auto accepting2 = f.a->accept();
  auto disconnected = mine->whenWriteDisconnected();
  auto untaken = f.open("untaken");
  auto taken = untaken->whenTaken();
  f.a->end("the link is gone");
  constexpr auto WHY = kj::Exception::Type::DISCONNECTED;
  CHECK(failureOf([&] { f.sim.run(kj::mv(writing)); }) == WHY);
  CHECK(failureOf([&] { f.sim.run(kj::mv(reading)); }) == WHY);
  CHECK(failureOf([&] { f.sim.run(kj::mv(accepting)); }) == WHY);
  CHECK(failureOf([&] { f.sim.run(kj::mv(accepting2)); }) == WHY);
  CHECK(failureOf([&] { f.sim.run(kj::mv(taken)); }) == WHY);
  CHECK(failureOf([&] { f.sim.run(f.a->accept()); }) == WHY);
  CHECK(failureOf([&] { f.a->open("new", 0); }) == WHY);
  f.sim.run(kj::mv(disconnected));
}

TEST_CASE("what had arrived whole before the session ended can still be read, what had not cannot") {
  Fixture f;
  auto whole = f.open("whole"), part = f.open("part");
  auto wholeEnd = f.accept(), partEnd = f.accept();
  f.write(*whole, "all of it");
  whole->shutdownWrite();
  f.write(*part, "some of");
  f.sim.settle();
  f.b->end("the link is gone");
  CHECK(f.readAll(*wholeEnd) == "all of it");
  CHECK(failureOf([&] { f.readAll(*partEnd); }) == kj::Exception::Type::DISCONNECTED);
}

TEST_CASE("a record that is no frame, and a frame that must not be, are faults with a name") {
  Fixture f;
  auto admit = [](kj::StringPtr) { return MuxAdmission{true, 0}; };
  kj::byte shortId[3] = {0, 0, 1}, unknown[4] = {0, 0, 0, 1};
  CHECK(KJ_ASSERT_NONNULL(f.b->take(21, shortId, admit)) == "a record of type 21 that is no frame of the mux");
  CHECK(KJ_ASSERT_NONNULL(f.b->take(21, unknown, admit)) == "mux.reject.unknown_stream_frame");
  CHECK(KJ_ASSERT_NONNULL(f.b->take(22, unknown, admit)) == "a record of type 22 that is no frame of the mux");
}

TEST_CASE("policy is not asked about a name that could not be opened") {
  Fixture f;
  kj::uint asked = 0;
  auto admit = [&](kj::StringPtr) {
    asked++;
    return MuxAdmission{true, 0};
  };
  auto open = encodeMuxFrame(MuxOpen{2, 0, "name"_kj.asArray()});  // an id of b's own parity
  CHECK(KJ_ASSERT_NONNULL(f.b->take(open.type, open.body, admit)) == "mux.reject.invalid_stream_state_transition");
  auto bad = encodeMuxFrame(MuxOpen{1, 0, "na me"_kj.asArray()});
  CHECK(KJ_ASSERT_NONNULL(f.b->take(bad.type, bad.body, admit)) == "mux.reject.invalid_stream_name");
  CHECK(asked == 0);
}

}  // namespace
}  // namespace nexus
