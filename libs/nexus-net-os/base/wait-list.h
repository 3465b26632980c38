#pragma once
// Promises that wait for an event that may come more than once. A member of whoever raises the event; a promise that is
// dropped unlinks itself, so nothing is delivered to somebody who is gone. Carries no value: whoever is woken looks
// again, so nothing can be lost.
#include <kj/async.h>
#include <kj/list.h>

namespace nexus {

class WaitList {
 public:
  WaitList() = default;
  KJ_DISALLOW_COPY_AND_MOVE(WaitList);

  // The promises that still wait fail as DISCONNECTED: whatever they waited for is gone.
  ~WaitList() noexcept(false);

  // Resolves with the next wakeAll(), in the order of the calls.
  kj::Promise<void> wait();

  void wakeAll();
  void rejectAll(const kj::Exception& reason);

  bool empty() const { return waiters.empty(); }
  size_t size() const { return waiters.size(); }

 private:
  struct Waiter {
    Waiter(kj::PromiseFulfiller<void>& fulfiller, WaitList& list);
    ~Waiter() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Waiter);

    kj::PromiseFulfiller<void>& fulfiller;
    WaitList& list;
    kj::ListLink<Waiter> link;
  };

  kj::List<Waiter, &Waiter::link> waiters;
};

}  // namespace nexus
