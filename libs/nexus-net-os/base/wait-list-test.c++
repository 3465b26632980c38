#include "libs/nexus-net-os/base/wait-list.h"

#include <doctest/doctest.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

TEST_CASE("everybody who waits is woken, in the order of their calls") {
  SimClock sim;
  WaitList list;
  kj::Vector<int> woken;
  auto first = list.wait().then([&]() { woken.add(1); }).eagerlyEvaluate(nullptr);
  auto second = list.wait().then([&]() { woken.add(2); }).eagerlyEvaluate(nullptr);
  CHECK(list.size() == 2);
  list.wakeAll();
  sim.settle();
  REQUIRE(woken.size() == 2);
  CHECK(woken[0] == 1);
  CHECK(woken[1] == 2);
  CHECK(list.empty());
}

TEST_CASE("a promise that is dropped is not in the list any more") {
  SimClock sim;
  WaitList list;
  {
    auto dropped = list.wait();
    CHECK(list.size() == 1);
  }
  CHECK(list.empty());
  list.wakeAll();
}

TEST_CASE("who comes after the event waits for the next one") {
  SimClock sim;
  WaitList list;
  list.wakeAll();
  auto late = list.wait();
  CHECK(!late.poll(sim.waitScope));
  list.wakeAll();
  CHECK(late.poll(sim.waitScope));
}

TEST_CASE("who still waits when the list goes fails as disconnected") {
  SimClock sim;
  kj::Maybe<kj::Promise<void>> waiting;
  {
    WaitList list;
    waiting = list.wait();
  }
  auto error = kj::runCatchingExceptions([&]() { sim.run(kj::mv(KJ_ASSERT_NONNULL(waiting))); });
  CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::DISCONNECTED);
}

}  // namespace
}  // namespace nexus
