#include "daemons/dsoftbusd/resume/stream-registration.h"

#include <doctest/doctest.h>

#include "daemons/dsoftbusd/bus/bus-fixture.h"

namespace nexus {
namespace {

using Next = StreamRegistration::Next;
constexpr kj::StringPtr NAME = "test/1"_kj;
const auto A = IpAddress::v4(10, 42, 0, 10), B = IpAddress::v4(10, 42, 0, 11);

kj::Exception::Type failureOf(kj::FunctionParam<void()> func) {
  auto failure = kj::runCatchingExceptions([&] { func(); });
  REQUIRE(failure != nullptr);
  return KJ_ASSERT_NONNULL(failure).getType();
}

// a registers, b accepts.
struct Fixture {
  SimClock sim;
  SimNetwork network{sim.timer};
  kj::Own<ClientTotals> totals = kj::refcounted<ClientTotals>();
  kj::Own<BusNode> a, b;
  kj::Own<StreamRegistration> registration;

  Fixture() {
    static constexpr kj::StringPtr trustedByA[] = {"node-b"_kj}, trustedByB[] = {"node-a"_kj};
    network.addNode("node-a", A);
    network.addNode("node-b", B);
    a = kj::heap<BusNode>(sim, network, "node-a", A, kj::arrayPtr(trustedByA, 1));
    b = kj::heap<BusNode>(sim, network, "node-b", B, kj::arrayPtr(trustedByB, 1));
    registration = registered(NAME);
  }
  ~Fixture() noexcept(false) { registration = nullptr; }

  kj::Own<StreamRegistration> registered(kj::StringPtr name) {
    return kj::heap<StreamRegistration>(kj::addRef(a->link("node-b")), name, 4, sim.timer, kj::addRef(*totals));
  }
  void connect() {
    a->knows(*b);
    sim.advance(1 * kj::SECONDS);
    REQUIRE(a->link("node-b").state() == idl::SessionState::READY);
  }
  // The connection breaks; both ends notice, and a dials again.
  void lose() {
    network.killConnections("node-a");
    sim.settle();
  }

  kj::Own<MuxStream> mustGet(Next next) {
    REQUIRE(next.is<kj::Own<MuxStream>>());
    return kj::mv(next.get<kj::Own<MuxStream>>());
  }
  kj::Own<MuxStream> mustGet() { return mustGet(sim.run(registration->next())); }
  kj::Own<MuxStream> accepted() { return sim.run(b->session("node-a")->mux().accept()); }
  void write(kj::AsyncOutputStream& stream, kj::StringPtr text) { sim.run(stream.write(text.begin(), text.size())); }
  kj::String read(kj::AsyncInputStream& stream, size_t n) {
    auto text = kj::heapString(n);
    sim.run(stream.read(text.begin(), n));
    return text;
  }
  // Whatever had arrived, and then no end.
  bool fails(kj::AsyncIoStream& stream) {
    return failureOf([&] { sim.run(stream.readAllBytes()); }) == kj::Exception::Type::DISCONNECTED;
  }
  size_t opensAudited() {
    size_t n = 0;
    b->audit.forEachAfter(0, [&](const AuditEntry& entry) {
      if (entry.service == kj::str("stream:", NAME)) n++;
    });
    return n;
  }
};

TEST_CASE("the first stream waits for a session, and the peer accepts it by its name") {
  Fixture f;
  auto next = f.registration->next();
  f.sim.advance(5 * kj::SECONDS);
  CHECK_FALSE(next.poll(f.sim.waitScope));
  f.connect();
  auto mine = f.mustGet(f.sim.run(kj::mv(next)));
  auto theirs = f.accepted();
  CHECK(theirs->name() == NAME);
  f.write(*mine, "hello");
  CHECK(f.read(*theirs, 5) == "hello");
  CHECK(f.registration->incarnation() == 1);
  CHECK(f.totals->streamsResumed == 0);
}

TEST_CASE("whoever waits for the next stream has it as soon as the living one is over, however long that lived") {
  Fixture f;
  f.connect();
  auto mine = f.mustGet();
  auto theirs = f.accepted();
  auto next = f.registration->next();
  f.sim.advance(100 * kj::SECONDS);
  CHECK_FALSE(next.poll(f.sim.waitScope));
  theirs->abortRead();
  f.sim.advance(10 * kj::MILLISECONDS);
  auto second = f.accepted();
  CHECK(next.poll(f.sim.waitScope));
}

TEST_CASE("a loss in the middle of data fails both ends and gives a fresh stream, decided and audited again") {
  Fixture f;
  f.connect();
  auto mine = f.mustGet();
  auto theirs = f.accepted();
  f.write(*mine, "before");
  CHECK(f.read(*theirs, 3) == "bef");
  auto next = f.registration->next();
  f.sim.settle();
  CHECK_FALSE(next.poll(f.sim.waitScope));  // the first is in use
  CHECK(f.opensAudited() == 1);
  f.lose();
  CHECK(f.fails(*mine));
  CHECK(f.fails(*theirs));                          // never a short stream that looks whole
  auto fresh = f.mustGet(f.sim.run(kj::mv(next)));  // while the old one is still held
  auto theirFresh = f.accepted();
  CHECK(theirFresh->name() == NAME);
  CHECK(f.opensAudited() == 2);
  CHECK(f.registration->incarnation() == 2);
  CHECK(f.totals->streamsResumed == 1);
  f.write(*fresh, "after");
  CHECK(f.read(*theirFresh, 5) == "after");  // from its beginning: nothing of the lost one
  CHECK(f.fails(*mine));
}

TEST_CASE("a loss before the peer has answered the opening is waited out") {
  Fixture f;
  f.connect();
  f.network.cut("node-b");
  auto next = f.registration->next();
  f.sim.advance(4 * kj::SECONDS);
  CHECK_FALSE(next.poll(f.sim.waitScope));
  CHECK(f.opensAudited() == 0);
  f.sim.advance(10 * kj::SECONDS);  // the keep-alive ends the session
  CHECK(f.a->link("node-b").session() == nullptr);
  CHECK_FALSE(next.poll(f.sim.waitScope));
  f.network.heal("node-b");
  auto mine = f.mustGet(f.sim.run(kj::mv(next)));
  f.write(*mine, "x");
  CHECK(f.read(*f.accepted(), 1) == "x");
  CHECK(f.registration->incarnation() == 1);
}

TEST_CASE("a loss while it is being closed: the next one is fresh and open") {
  Fixture f;
  f.connect();
  auto mine = f.mustGet();
  auto theirs = f.accepted();
  f.network.cut("node-b");
  f.write(*mine, "last words");
  mine->shutdownWrite();
  f.lose();
  f.network.heal("node-b");
  CHECK(f.fails(*theirs));
  auto fresh = f.mustGet();
  CHECK(fresh->state() == MuxState::OPEN);
  f.write(*fresh, "y");
  CHECK(f.read(*f.accepted(), 1) == "y");
}

TEST_CASE("a stream that was let go of or reset is replaced in the same session") {
  Fixture f;
  f.connect();
  auto session = f.a->session("node-b");
  {
    auto dropped = f.mustGet();
  }
  auto theirs = f.accepted();
  CHECK(f.sim.run(theirs->readAllText()) == "");
  auto waits = f.registration->next();
  f.sim.advance(1 * kj::SECONDS);
  CHECK_FALSE(waits.poll(f.sim.waitScope));  // the peer has not closed its side: the name is taken
  theirs = nullptr;
  auto second = f.mustGet(f.sim.run(kj::mv(waits)));
  auto theirSecond = f.accepted();
  auto next = f.registration->next();
  f.sim.settle();
  CHECK_FALSE(next.poll(f.sim.waitScope));
  theirSecond->abortRead();  // the peer resets it
  theirSecond = nullptr;
  auto third = f.mustGet(f.sim.run(kj::mv(next)));
  CHECK(f.fails(*second));
  CHECK(f.registration->incarnation() == 3);
  CHECK(f.a->session("node-b").get() == session.get());
}

TEST_CASE("the peer's daemon is restarted: the stream comes back with its next session") {
  Fixture f;
  f.connect();
  auto mine = f.mustGet();
  auto theirs = f.accepted();
  auto next = f.registration->next();
  theirs = nullptr;
  f.b->stop();
  f.sim.advance(20 * kj::SECONDS);
  CHECK_FALSE(next.poll(f.sim.waitScope));
  CHECK(f.fails(*mine));
  f.b->start();
  auto fresh = f.mustGet(f.sim.run(kj::mv(next)));
  f.write(*fresh, "back");
  CHECK(f.read(*f.accepted(), 4) == "back");
}

TEST_CASE(
    "this node's daemon is restarted: who registers again gets a stream, while the peer's end of the old one failed") {
  Fixture f;
  f.connect();
  auto mine = f.mustGet();
  auto theirs = f.accepted();
  f.write(*mine, "last");
  CHECK(f.read(*theirs, 4) == "last");
  f.registration = nullptr;
  f.a->stop();
  f.network.killConnections("node-a");
  // No end: the peer's program must not take what it has for whole.
  CHECK(f.fails(*theirs));
  CHECK(f.fails(*mine));
  f.a->start();
  f.connect();
  f.registration = f.registered(NAME);
  auto fresh = f.mustGet();
  auto theirFresh = f.accepted();
  f.write(*fresh, "new");
  CHECK(f.read(*theirFresh, 3) == "new");
}

TEST_CASE("revoking the peer ends the registration, for whoever waits and for whoever asks later") {
  Fixture f;
  f.connect();
  auto mine = f.mustGet();
  auto next = f.registration->next();
  f.a->bus->applyTrust(nullptr);
  CHECK(f.sim.run(kj::mv(next)).is<StreamRegistration::NotTrusted>());
  CHECK(f.fails(*mine));
  CHECK(f.sim.run(f.registration->next()).is<StreamRegistration::NotTrusted>());
}

TEST_CASE("a peer that revokes this node makes the registration say so") {
  Fixture f;
  f.connect();
  auto mine = f.mustGet();
  auto next = f.registration->next();
  f.b->bus->applyTrust(nullptr);
  CHECK(f.sim.run(kj::mv(next)).is<StreamRegistration::NotTrusted>());
  CHECK(f.fails(*mine));
}

TEST_CASE("a refusal is a result, and who asks again at once waits longer each time") {
  Fixture f;
  f.connect();
  auto denied = f.registered("forbidden");
  auto next = f.sim.run(denied->next());
  REQUIRE(next.is<StreamRegistration::Refused>());
  CHECK(next.get<StreamRegistration::Refused>().reason == MuxResetReason::DENIED);
  CHECK(next.get<StreamRegistration::Refused>().auditId == f.b->lastAudit().id);
  auto begin = f.sim.timer.now();
  for (int i = 0; i < 3; i++) CHECK(f.sim.run(denied->next()).is<StreamRegistration::Refused>());
  CHECK(f.sim.timer.now() - begin >= (250 + 500 + 1000) * kj::MILLISECONDS);
  auto mine = f.mustGet();
  auto twice = f.registered(NAME);
  auto taken = f.sim.run(twice->next());
  REQUIRE(taken.is<MuxReject>());
  CHECK(taken.get<MuxReject>() == MuxReject::DUPLICATE_STREAM_NAME);
}

TEST_CASE("one call at a time, and a cancelled one leaves no stream behind") {
  Fixture f;
  {
    auto next = f.registration->next();
    CHECK(failureOf([&] { f.sim.run(f.registration->next()); }) == kj::Exception::Type::OVERLOADED);
  }
  f.connect();
  {
    auto cancelled = f.registration->next();
  }  // its OPEN is on the way
  f.sim.settle();
  auto mine = f.mustGet();
  CHECK(mine->state() == MuxState::OPEN);
  f.registration = nullptr;
  CHECK(mine->state() == MuxState::OPEN);  // it stays with its holder
  f.write(*mine, "z");
}

}  // namespace
}  // namespace nexus
