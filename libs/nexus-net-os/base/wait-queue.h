#pragma once
// First come, first served, for calls that wait for something to arrive (accept, recv, recvFrom). A call takes a Turn,
// and while it is not the first or there is nothing for it, it waits; when woken it looks again and takes what it wants
// itself. So a call that is cancelled, even after it was woken, has taken nothing: its Turn leaves the line and the
// next one looks. Owned by the socket; single-threaded. Unlike a WaitList, which wakes all who wait for an event, it
// wakes one, and who stands in line keeps its place while it works.
//
//   WaitQueue::Turn turn(waiters);
//   while (!(turn.isFirst() && hasSomething())) co_await turn.wait();
//   take();
#include <kj/async.h>
#include <kj/list.h>

namespace nexus {

class WaitQueue {
 public:
  class Turn {
   public:
    explicit Turn(WaitQueue& queue) : queue(queue) { queue.turns.add(*this); }
    ~Turn() noexcept(false) {
      queue.turns.remove(*this);
      queue.wake();
    }
    KJ_DISALLOW_COPY_AND_MOVE(Turn);

    bool isFirst() const { return &queue.turns.front() == this; }

    // Until wake() reaches this turn. One at a time.
    kj::Promise<void> wait() { return kj::newAdaptedPromise<void, Waiter>(*this); }

   private:
    friend class WaitQueue;
    struct Waiter {
      Waiter(kj::PromiseFulfiller<void>& fulfiller, Turn& turn) : turn(turn) { turn.fulfiller = fulfiller; }
      ~Waiter() { turn.fulfiller = nullptr; }
      Turn& turn;
    };
    WaitQueue& queue;
    kj::Maybe<kj::PromiseFulfiller<void>&> fulfiller;
    kj::ListLink<Turn> link;
  };

  WaitQueue() = default;
  KJ_DISALLOW_COPY_AND_MOVE(WaitQueue);

  // Something changed: the first in line looks again, and whoever is behind it once it has gone.
  void wake() {
    if (turns.empty()) return;
    KJ_IF_MAYBE (f, turns.front().fulfiller) f->fulfill();
  }

  // Whoever waits for its turn fails with that; who is served already is not told.
  void rejectAll(const kj::Exception& reason) {
    for (auto& turn : turns) {
      KJ_IF_MAYBE (f, turn.fulfiller) f->reject(kj::cp(reason));
    }
  }

  size_t size() const { return turns.size(); }

 private:
  kj::List<Turn, &Turn::link> turns;
};

}  // namespace nexus
