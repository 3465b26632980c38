#include "libs/nexus-net-os/base/wait-queue.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include <deque>

namespace nexus {
namespace {

// What every socket does with it: a queue of items and calls that wait for one.
struct Box {
  std::deque<int> items;
  WaitQueue waiters;

  void put(int item) {
    items.push_back(item);
    waiters.wake();
  }
  kj::Promise<int> take() {
    WaitQueue::Turn turn(waiters);
    while (!(turn.isFirst() && !items.empty())) co_await turn.wait();
    int item = items.front();
    items.pop_front();
    co_return item;
  }
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  Box box;
};

TEST_CASE("calls are served in the order in which they came, also when several items come at once") {
  Fixture f;
  auto first = f.box.take(), second = f.box.take(), third = f.box.take();
  CHECK(f.box.waiters.size() == 3);
  f.box.put(1), f.box.put(2);
  CHECK_FALSE(third.poll(f.waitScope));
  CHECK(first.wait(f.waitScope) == 1);
  CHECK(second.wait(f.waitScope) == 2);
  f.box.put(3);
  CHECK(third.wait(f.waitScope) == 3);
  CHECK(f.box.waiters.size() == 0);
}

TEST_CASE("a newcomer does not overtake a call that was woken but has not run yet") {
  Fixture f;
  auto first = f.box.take();
  CHECK_FALSE(first.poll(f.waitScope));
  f.box.put(1);
  auto newcomer = f.box.take();
  CHECK(first.wait(f.waitScope) == 1);
  CHECK_FALSE(newcomer.poll(f.waitScope));
  f.box.put(2);
  CHECK(newcomer.wait(f.waitScope) == 2);
}

TEST_CASE("a call that is cancelled after it was woken has taken nothing; the next one gets it") {
  Fixture f;
  auto second = kj::Promise<int>(nullptr);
  {
    auto first = f.box.take();
    second = f.box.take();
    CHECK_FALSE(first.poll(f.waitScope));
    f.box.put(1);  // wakes the first, which goes away before it runs
  }
  CHECK(second.wait(f.waitScope) == 1);
}

TEST_CASE("a call in the middle of the line may leave it") {
  Fixture f;
  auto first = f.box.take();
  auto third = kj::Promise<int>(nullptr);
  {
    auto second = f.box.take();
    third = f.box.take();
  }
  f.box.put(1), f.box.put(2);
  CHECK(first.wait(f.waitScope) == 1);
  CHECK(third.wait(f.waitScope) == 2);
}

TEST_CASE("who waits in line fails with the reason that is given; who is served goes on, and the line works again") {
  Fixture f;
  auto serve = [&]() -> kj::Promise<void> {
    WaitQueue::Turn turn(f.box.waiters);
    co_await kj::evalLast([] {});
  };
  auto served = serve();
  auto first = f.box.take(), second = f.box.take();
  f.box.waiters.rejectAll(KJ_EXCEPTION(DISCONNECTED, "it is gone"));
  for (auto* call : {&first, &second}) {
    auto failure = kj::runCatchingExceptions([&] { call->wait(f.waitScope); });
    CHECK(KJ_ASSERT_NONNULL(failure).getType() == kj::Exception::Type::DISCONNECTED);
  }
  served.wait(f.waitScope);
  CHECK(f.box.waiters.size() == 0);
  f.box.put(1);
  CHECK(f.box.take().wait(f.waitScope) == 1);
}

TEST_CASE("waking an empty line does nothing") {
  Fixture f;
  f.box.waiters.wake();
  f.box.put(1);
  CHECK(f.box.take().wait(f.waitScope) == 1);
}

}  // namespace
}  // namespace nexus
