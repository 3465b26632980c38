// The checker is checked: each kind of violation is made by hand, and must be found. What is well must not be.
#include "tests/sim/fleet-invariants.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

struct Fixture {
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  FleetTrace trace{timer};
  FleetRights rights{3};
  CallLedger calls{trace, rights};
  StreamLedger streams{trace, rights, 5};

  Fixture() {
    rights.allow(0, 1, FleetRight::RESOLVE);
    rights.allow(0, 1, FleetRight::LIST);
    rights.allow(0, 1, FleetRight::STREAM_0);
  }

  // Once, with that in it.
  void found(kj::StringPtr what) {
    REQUIRE(trace.violations().size() == 1);
    CAPTURE(trace.violations()[0]);
    CHECK(strstr(trace.violations()[0].cStr(), what.cStr()) != nullptr);
  }
  void allIsWell() { CHECK(trace.violations().size() == 0); }

  // An allowed stream, open, of which the acceptor has read the first block.
  uint64_t openStream(kj::uint opener = 0, kj::uint name = 0) {
    auto id = streams.open(opener, 1, name);
    streams.opened(id, true);
    auto head = streams.next(id, 0, StreamLedger::BLOCK);
    CHECK(streams.accepted(head, opener, 1, fleetStreamName(name)) == id);
    streams.received(id, 0, head);
    return id;
  }
};

TEST_CASE("an allowed call that is decided, executed and answered once is well") {
  Fixture f;
  auto token = f.calls.attempt(0, 1, FleetRight::RESOLVE);
  f.calls.decided(0, 1, FleetRight::RESOLVE, true, true);
  f.calls.executed(1, token);
  f.calls.answered(token, true, false);
  auto denied = f.calls.attempt(2, 1, FleetRight::LIST);
  f.calls.decided(2, 1, FleetRight::LIST, true, false);
  f.calls.answered(denied, false, true);
  f.allIsWell();
}

TEST_CASE("a decision for what no right allows is found, and one for a caller that proved nothing") {
  Fixture f;
  f.calls.decided(2, 1, FleetRight::RESOLVE, true, true);
  f.found("unauthorised");
  Fixture g;
  g.calls.decided(0, 1, FleetRight::RESOLVE, false, true);
  g.found("unauthorised");
}

TEST_CASE("an execution is found that is not allowed, that nobody asked for, that is a second one, that is elsewhere") {
  {
    Fixture f;
    f.calls.executed(1, f.calls.attempt(2, 1, FleetRight::RESOLVE));
    f.found("unauthorised");
  }
  {
    Fixture f;
    f.calls.executed(1, 77);
    f.found("nobody made");
  }
  {
    Fixture f;
    auto token = f.calls.attempt(0, 1, FleetRight::RESOLVE);
    f.calls.executed(1, token);
    f.calls.executed(1, token);
    f.found("twice");
  }
  {
    Fixture f;
    f.calls.executedList(1);
    f.found("no allowed call");
  }
}

TEST_CASE("an answer is found without an execution, and a refusal of what is allowed") {
  {
    Fixture f;
    f.calls.answered(f.calls.attempt(0, 1, FleetRight::RESOLVE), true, false);
    f.found("never executed");
  }
  {
    Fixture f;
    f.calls.answered(f.calls.attempt(0, 1, FleetRight::RESOLVE), false, true);
    f.found("a rule allows it");
  }
}

TEST_CASE("a stream whose bytes arrive in order and which ends after the last is well") {
  Fixture f;
  auto id = f.openStream();
  for (auto n : {1, 15, 16, 17, 1000}) f.streams.received(id, 0, f.streams.next(id, 0, n));
  f.streams.closed(id, 0);
  f.streams.ended(id, 0);
  f.streams.received(id, 1, f.streams.next(id, 1, 100));
  f.streams.closed(id, 1);
  f.streams.ended(id, 1);
  CHECK(f.streams.isWhole(id));
  f.allIsWell();
}

TEST_CASE("a byte of a stream that is lost, repeated, changed, made up or out of order is found") {
  for (int fault = 0; fault < 5; fault++) {
    CAPTURE(fault);
    Fixture f;
    auto id = f.openStream();
    auto bytes = f.streams.next(id, 0, 100);
    auto other = f.streams.next(id, 0, 100);
    if (fault == 0) f.streams.received(id, 0, bytes.slice(1, 100));
    if (fault == 1) f.streams.received(id, 0, bytes), f.streams.received(id, 0, bytes);
    if (fault == 2) bytes[50] ^= 1, f.streams.received(id, 0, bytes);
    if (fault == 3) f.streams.received(id, 1, bytes.slice(0, 1));
    if (fault == 4) f.streams.received(id, 0, other);
    CHECK(f.trace.violations().size() > 0);
  }
}

TEST_CASE("an end of a stream is found that comes too early, or that nobody said") {
  {
    Fixture f;
    auto id = f.openStream();
    f.streams.next(id, 0, 10);
    f.streams.closed(id, 0);
    f.streams.ended(id, 0);
    f.found("of 26");
  }
  {
    Fixture f;
    f.streams.ended(f.openStream(), 0);
    f.found("nobody closed it");
  }
}

TEST_CASE("a stream is found that no right allows, at both ends, and one that is accepted under another name") {
  {
    Fixture f;
    f.streams.opened(f.streams.open(2, 1, 0), true);
    f.found("unauthorised");
  }
  {
    Fixture f;
    auto id = f.streams.open(0, 1, 0);
    f.streams.accepted(f.streams.next(id, 0, StreamLedger::BLOCK), 0, 1, fleetStreamName(1));
    f.found("was accepted as");
  }
}

TEST_CASE("what a machine that is trusted no more has decided, executed or delivered is found") {
  {
    Fixture f;
    f.rights.revoke(1, 0, true);
    f.calls.decided(0, 1, FleetRight::RESOLVE, true, true);
    f.found("unauthorised");
  }
  {
    Fixture f;
    auto token = f.calls.attempt(0, 1, FleetRight::RESOLVE);
    f.rights.revoke(1, 0, true);
    f.calls.executed(1, token);
    f.found("unauthorised");
  }
  {
    Fixture f;
    f.calls.attempt(0, 1, FleetRight::LIST);
    f.rights.revoke(1, 0, true);
    f.calls.executedList(1);
    f.found("no allowed call");
  }
  {
    Fixture f;
    auto id = f.openStream();
    auto before = f.streams.next(id, 0, 10);
    f.streams.revoked(1, 0);
    f.streams.received(id, 0, before);
    f.allIsWell();
    f.streams.received(id, 0, f.streams.next(id, 0, 1));
    f.found("not trusted when it wrote");
  }
  {
    Fixture f;
    auto token = f.calls.attempt(0, 1, FleetRight::RESOLVE);
    f.calls.executed(1, token);
    f.rights.revoke(1, 0, true);
    f.calls.answered(token, true, false);  // it was on its way
    f.allIsWell();
  }
}

TEST_CASE("a call is judged by the rules of the time from its asking to its answer") {
  {
    Fixture f;  // decided before the rule went
    auto token = f.calls.attempt(0, 1, FleetRight::RESOLVE);
    f.calls.executed(1, token);
    f.rights.set(0, 1, FleetRight::RESOLVE, false);
    f.calls.decided(0, 1, FleetRight::RESOLVE, true, true);
    f.calls.answered(token, true, false);
    f.allIsWell();
  }
  {
    Fixture f;  // decided after it went, or before it came
    auto token = f.calls.attempt(0, 1, FleetRight::LIST);
    f.rights.set(0, 1, FleetRight::LIST, false);
    f.calls.answered(token, false, true);
    auto other = f.calls.attempt(0, 1, FleetRight::LIST);
    f.rights.set(0, 1, FleetRight::LIST, true);
    f.calls.answered(other, false, true);
    f.allIsWell();
  }
}

TEST_CASE("a call is found that is decided, executed or answered by a rule that was withdrawn before") {
  {
    Fixture f;
    auto token = f.calls.attempt(0, 1, FleetRight::RESOLVE);
    f.rights.set(0, 1, FleetRight::RESOLVE, false);
    f.calls.executed(1, token);
    f.found("unauthorised");
  }
  {
    Fixture f;
    f.calls.attempt(0, 1, FleetRight::RESOLVE);
    f.rights.set(0, 1, FleetRight::RESOLVE, false);
    f.calls.decided(0, 1, FleetRight::RESOLVE, true, true);  // and no backend had it before
    f.found("unauthorised");
  }
  {
    Fixture f;
    f.rights.set(0, 1, FleetRight::LIST, false);
    f.calls.answered(f.calls.attempt(0, 1, FleetRight::LIST), true, false);
    f.found("unauthorised");
  }
  {
    Fixture f;  // refused by a rule that was given before
    f.rights.set(2, 1, FleetRight::LIST, true);
    f.calls.answered(f.calls.attempt(2, 1, FleetRight::LIST), false, true);
    f.found("a rule allows it");
  }
}

TEST_CASE(
    "a stream whose rule was withdrawn may give its opener what was written before, and nothing else to anybody") {
  auto withdrawn = [](Fixture& f) {
    auto id = f.openStream();
    f.streams.next(id, 0, 100);
    f.streams.received(id, 1, f.streams.next(id, 1, 10));
    auto before = f.streams.next(id, 1, 10);
    f.rights.set(0, 1, FleetRight::STREAM_0, false);
    f.streams.withdrawn(0, 1, 0);
    f.streams.received(id, 1, before);
    return id;
  };
  {
    Fixture f;
    auto id = withdrawn(f);
    f.allIsWell();
    f.streams.checkWithdrawn();
    f.found("has not ended at machine 0");
    CHECK(f.streams.counters().withdrawn == 1);
    CHECK(id == 1);
  }
  {
    Fixture f;
    auto id = withdrawn(f);
    f.streams.left(id, 0);
    f.streams.checkWithdrawn();
    f.found("has not ended at machine 1");
  }
  {
    Fixture f;
    auto id = withdrawn(f);
    f.streams.left(id, 0), f.streams.left(id, 1);
    f.streams.checkWithdrawn();
    f.allIsWell();
  }
  {
    Fixture f;
    auto id = withdrawn(f);
    f.streams.received(id, 1, f.streams.next(id, 1, 1));
    f.found("goes on although");
  }
  {
    Fixture f;
    auto id = withdrawn(f);
    auto fresh = f.streams.open(0, 1, 0);  // of later: another stream
    f.rights.set(0, 1, FleetRight::STREAM_0, true);
    f.streams.opened(fresh, true);
    f.streams.accepted(f.streams.next(fresh, 0, StreamLedger::BLOCK), 0, 1, fleetStreamName(0));
    f.allIsWell();
    f.streams.closed(id, 1);
    f.streams.ended(id, 1);
    f.found("ended in order");
  }
}

TEST_CASE("a stream whose rule was withdrawn gives its acceptor not a byte more, nor an end") {
  {
    Fixture f;
    auto id = f.openStream();
    auto before = f.streams.next(id, 0, 100);
    f.streams.withdrawn(0, 1, 0);
    f.streams.received(id, 0, before);
    f.found("goes on although");
  }
  {
    Fixture f;
    auto id = f.openStream();
    f.streams.closed(id, 0);
    f.streams.withdrawn(0, 1, 0);
    f.streams.ended(id, 0);
    f.found("ended in order");
  }
  {
    Fixture f;  // unless both ends had closed it before: then it may be whole by now
    auto id = f.openStream();
    f.streams.closed(id, 0), f.streams.closed(id, 1);
    f.streams.withdrawn(0, 1, 0);
    f.streams.ended(id, 0), f.streams.ended(id, 1);
    f.allIsWell();
  }
}

TEST_CASE("a stream whose session is over when its rule is withdrawn may be read out, and no further") {
  for (bool another : {false, true}) {
    Fixture f;
    auto id = f.openStream();
    auto before = f.streams.next(id, 0, 100);
    if (another) f.streams.sessionBegan(1, 0);
    f.streams.withdrawn(0, 1, 0, another);
    f.streams.received(id, 0, before);
    f.allIsWell();
    f.streams.received(id, 0, f.streams.next(id, 0, 1));
    f.found("goes on although");
  }
}

TEST_CASE("a forbidden word on the wire is found however it is cut, and nothing else is") {
  auto word = "fleet/one"_kj;
  auto wire = kj::str("0123456789012345678901234567890123456789", word, "0123456789012345678901234567890123456789");
  for (size_t piece = 1; piece < wire.size(); piece++) {
    CAPTURE(piece);
    PlaintextWatch watch;
    watch.forbid(word.asBytes());
    kj::uint found = 0;
    for (size_t at = 0; at < wire.size(); at += piece) {
      auto end = kj::min(at + piece, wire.size());
      found += watch.look(1, wire.slice(at, end).asBytes()) != nullptr ? 1 : 0;
      // Another flow between them makes no difference.
      CHECK(watch.look(2, "fleet/on"_kj.asBytes()) == nullptr);
    }
    CHECK(found >= 1);
  }
  PlaintextWatch watch;
  watch.forbid(word.asBytes());
  CHECK(watch.look(1, "fleet/tw"_kj.asBytes()) == nullptr);
  CHECK(watch.look(1, "o fleet/on"_kj.asBytes()) == nullptr);
  CHECK(watch.look(1, " e"_kj.asBytes()) == nullptr);
}

TEST_CASE("a mux within its bounds is well, and one beyond a bound is found") {
  MuxCore core(MuxRole::INITIATOR, MuxSession::AUTHENTICATED);
  auto opened = core.open("a"_kj.asArray(), 3);
  auto id = opened.get<MuxStreamId>();
  auto bytes = kj::heapArray<kj::byte>(1000);
  CHECK(core.send(id, bytes).is<MuxAccepted>());
  CHECK(checkMux(core) == nullptr);
  CHECK(checkMux(core, {.streams = 0}) != nullptr);
  CHECK(checkMux(core, {.streamBuffer = 999}) != nullptr);
}

TEST_CASE("a trace is another one when an event, a number or the time of it is another") {
  SimClock sim;
  auto hashOf = [&](auto&& events) {
    FleetTrace trace(sim.timer);
    events(trace);
    return trace.hash();
  };
  auto once = hashOf([](FleetTrace& t) { t.note("call", 1), t.note("call", 2); });
  CHECK(once == hashOf([](FleetTrace& t) { t.note("call", 1), t.note("call", 2); }));
  CHECK(once != hashOf([](FleetTrace& t) { t.note("call", 2), t.note("call", 1); }));
  CHECK(once != hashOf([](FleetTrace& t) { t.note("call", 1), t.note("cell", 2); }));
  sim.timer.advanceTo(sim.timer.now() + 1 * kj::NANOSECONDS);
  CHECK(once != hashOf([](FleetTrace& t) { t.note("call", 1), t.note("call", 2); }));
}

TEST_CASE("a machine's clock follows, drifts, jumps, and stands still while it is suspended") {
  SimClock sim;
  auto start = sim.timer.now();
  NodeClock clock(start);
  auto own = [&] { return (clock.timer.now() - start) / kj::MILLISECONDS; };
  auto at = [&](int64_t ms) { return start + ms * kj::MILLISECONDS; };
  clock.follow(at(1000));
  CHECK(own() == 1000);
  clock.drift(100'000);
  clock.follow(at(2000));
  CHECK(own() == 2100);
  auto alarm = clock.timer.afterDelay(1100 * kj::MILLISECONDS);
  CHECK(KJ_ASSERT_NONNULL(clock.nextEvent()) == at(3000));
  clock.jump(500 * kj::MILLISECONDS);
  CHECK(own() == 2600);
  clock.suspend();
  CHECK(clock.nextEvent() == nullptr);
  clock.follow(at(10'000));
  CHECK(own() == 2600);
  clock.resume(false);
  CHECK(own() == 2600);
  clock.suspend();
  clock.follow(at(11'000));
  clock.resume(true);
  CHECK(own() == 3700);
}

}  // namespace
}  // namespace nexus
