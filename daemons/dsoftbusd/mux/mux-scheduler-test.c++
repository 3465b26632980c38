#include "daemons/dsoftbusd/mux/mux-scheduler.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace nexus {
namespace {

MuxStreamId mustTake(MuxScheduler& scheduler) {
  return KJ_ASSERT_NONNULL(scheduler.next());
}

TEST_CASE("scheduler_enforces_bounded_starvation: a lower stream has its turn within 9") {
  MuxScheduler scheduler;
  for (MuxStreamId i = 1; i <= 32; i++) scheduler.add(i, 0);
  scheduler.add(100, 4);
  for (int i = 0; i < 8; i++) CHECK(mustTake(scheduler) != 100);
  CHECK(mustTake(scheduler) == 100);  // the ninth
  CHECK(mustTake(scheduler) == 9);    // nothing was skipped
}

TEST_CASE("scheduler_prevents_low_priority_starvation_with_mixed_classes: priority 7 has its turn within 19") {
  MuxScheduler scheduler;
  for (MuxStreamId i = 1; i <= 64; i++) scheduler.add(i, 0);
  scheduler.add(100, 1);
  scheduler.add(107, 7);
  for (int turn = 1; turn <= 19; turn++) {
    if (mustTake(scheduler) == 107) {
      CHECK(turn == 18);  // 8 high, priority 1, 8 high, priority 7
      return;
    }
  }
  FAIL("priority 7 starved");
}

TEST_CASE("queue 0 goes first, and its burst starts over when it was empty") {
  MuxScheduler scheduler;
  scheduler.add(100, 3);
  scheduler.add(1, 0);
  CHECK(mustTake(scheduler) == 1);
  for (int i = 0; i < 6; i++) {
    scheduler.add(1, 0);
    CHECK(mustTake(scheduler) == 1);
  }
  CHECK(mustTake(scheduler) == 100);  // queue 0 is empty after seven turns
  for (int i = 0; i < 8; i++) {
    scheduler.add(1, 0);
    if (!scheduler.contains(100, 3)) scheduler.add(100, 3);
    CHECK(mustTake(scheduler) == 1);
  }
  scheduler.add(1, 0);
  CHECK(mustTake(scheduler) == 100);
}

TEST_CASE("priorities 1 to 7 share in a circle, streams of one priority in turn") {
  MuxScheduler scheduler;
  for (kj::byte priority = 1; priority < MUX_PRIORITIES; priority++) {
    scheduler.add(priority * 10, priority);
    scheduler.add(priority * 10 + 1, priority);
  }
  for (kj::uint round : {0u, 1u}) {
    for (kj::uint priority = 1; priority < MUX_PRIORITIES; priority++) {
      CHECK(mustTake(scheduler) == priority * 10 + round);
    }
  }
  CHECK(scheduler.next() == nullptr);
}

TEST_CASE("a stream has one entry however often it is added, and none after it was removed") {
  MuxScheduler scheduler;
  for (int i = 0; i < 10; i++) scheduler.add(5, 2);
  CHECK(scheduler.size() == 1);
  scheduler.add(6, 2);
  scheduler.remove(5, 2);
  scheduler.remove(5, 2);
  CHECK_FALSE(scheduler.contains(5, 2));
  CHECK(mustTake(scheduler) == 6);
  CHECK(scheduler.next() == nullptr);
  CHECK(scheduler.size() == 0);
}

}  // namespace
}  // namespace nexus
