#include "selftest/traffic-tally.h"

#include <doctest/doctest.h>
#include <kj/debug.h>
#include <kj/vector.h>

namespace nexus {
namespace {

struct Fixture {
  kj::TimePoint now = kj::origin<kj::TimePoint>() + 100 * kj::SECONDS;
  kj::Vector<kj::String> told;
  TrafficTally tally{2, [this](const StatusChaos& message) { told.add(encodeStatus(message)); }};

  kj::TimePoint at(int64_t ms) { return now + ms * kj::MILLISECONDS; }
  kj::String last() { return told.size() == 0 ? kj::str() : kj::str(told.back()); }
};

TEST_CASE("an event is over for calls when every kind of call that began after it has succeeded") {
  Fixture f;
  f.tally.arm(3, f.at(0));
  CHECK(f.last() == "chaos 3 armed");
  f.tally.callDone(0, true, f.at(1), f.at(5));  // it has not happened yet
  f.tally.go(3, f.at(10));
  f.tally.callDone(1, true, f.at(9), f.at(12));  // was on its way
  f.tally.callDone(0, true, f.at(10), f.at(20));
  f.tally.callDone(1, false, f.at(20), f.at(30));
  CHECK(f.told.size() == 1);
  f.tally.callDone(0, true, f.at(30), f.at(35));
  CHECK(f.told.size() == 1);
  f.tally.callDone(1, true, f.at(35), f.at(412));
  CHECK(f.last() == "chaos 3 call 412");
  f.tally.callDone(0, true, f.at(500), f.at(501));
  f.tally.callDone(1, true, f.at(501), f.at(502));
  CHECK(f.told.size() == 2);
}

TEST_CASE("an event is over for the stream with the first round that began after it") {
  Fixture f;
  f.tally.arm(0, f.at(0));
  f.tally.go(0, f.at(10));
  f.tally.roundDone(100, f.at(9), f.at(11));
  CHECK(f.told.size() == 1);
  CHECK(KJ_ASSERT_NONNULL(f.tally.pending()) == 0);
  f.tally.roundDone(100, f.at(10), f.at(77));
  CHECK(f.last() == "chaos 0 stream 77");
  f.tally.roundDone(100, f.at(80), f.at(90));
  CHECK(f.told.size() == 2);
  CHECK(f.tally.pending() != nullptr);
  for (size_t target : {0, 1}) f.tally.callDone(target, true, f.at(100), f.at(101));
  CHECK((f.tally.pending() == nullptr));
  CHECK(f.tally.events() == 1);
}

TEST_CASE("go for an event that is not armed, and a second go, change nothing") {
  Fixture f;
  f.tally.go(1, f.at(0));
  f.tally.arm(2, f.at(0));
  f.tally.go(1, f.at(1));
  f.tally.roundDone(1, f.at(5), f.at(6));
  CHECK(f.told.size() == 1);
  f.tally.go(2, f.at(10));
  f.tally.go(2, f.at(100));
  f.tally.roundDone(1, f.at(50), f.at(60));
  CHECK(f.last() == "chaos 2 stream 60");
}

TEST_CASE("a soak counts from its beginning, the total from the start") {
  Fixture f;
  f.tally.callDone(0, true, f.at(0), f.at(1));
  f.tally.callDone(0, false, f.at(0), f.at(1));
  f.tally.roundDone(10, f.at(0), f.at(1));
  f.tally.streamBroke();
  f.tally.beginSoak();
  CHECK(encodeStatus(f.tally.soak()) == "traffic 0 0 0 0");
  f.tally.callDone(1, true, f.at(0), f.at(1));
  f.tally.callDone(1, true, f.at(0), f.at(1));
  f.tally.roundDone(7, f.at(0), f.at(1));
  CHECK(encodeStatus(f.tally.soak()) == "traffic 2 0 7 0");
  CHECK(encodeStatus(f.tally.total()) == "traffic 3 1 17 1");
}

}  // namespace
}  // namespace nexus
