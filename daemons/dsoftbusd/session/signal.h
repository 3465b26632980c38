#pragma once
// Something has changed: wakes everybody who waits at that moment. A waiter that gives up unlinks itself. Owned by what
// changes; must outlive its waiters.
#include <kj/async.h>
#include <kj/list.h>

namespace nexus {

class Signal {
 public:
  Signal() = default;
  KJ_DISALLOW_COPY_AND_MOVE(Signal);

  // Resolves at the next fire().
  kj::Promise<void> wait() { return kj::newAdaptedPromise<void, Waiter>(*this); }

  void fire() {
    // Whoever waits again while being woken belongs to the next one.
    while (!waiters.empty()) {
      auto& waiter = waiters.front();
      waiters.remove(waiter);
      waiter.fulfiller.fulfill();
    }
  }

 private:
  struct Waiter {
    Waiter(kj::PromiseFulfiller<void>& fulfiller, Signal& signal) : fulfiller(fulfiller), signal(signal) {
      signal.waiters.add(*this);
    }
    ~Waiter() noexcept(false) {
      if (link.isLinked()) signal.waiters.remove(*this);
    }
    kj::PromiseFulfiller<void>& fulfiller;
    Signal& signal;
    kj::ListLink<Waiter> link;
  };

  kj::List<Waiter, &Waiter::link> waiters;
};

}  // namespace nexus
