#pragma once
// Callers that wait for an answer with a certain number. A caller that gives up unlinks itself; the answer is then late
// and counted by the owner. Owned by a session, which its waiters must keep alive.
#include <kj/async.h>
#include <kj/list.h>

namespace nexus {

template <typename T>
class PendingAnswers {
 public:
  PendingAnswers() = default;
  KJ_DISALLOW_COPY_AND_MOVE(PendingAnswers);

  kj::Promise<T> wait(uint64_t id) { return kj::newAdaptedPromise<T, Waiter>(*this, id); }

  // False when nobody waits for it (any more).
  bool answer(uint64_t id, T&& value) {
    for (auto& waiter : waiters) {
      if (waiter.id != id) continue;
      waiters.remove(waiter);
      waiter.fulfiller.fulfill(kj::mv(value));
      return true;
    }
    return false;
  }

  // Calls `settle` with the fulfiller of everybody who waits.
  template <typename Func>
  void settleAll(Func&& settle) {
    while (!waiters.empty()) {
      auto& waiter = waiters.front();
      waiters.remove(waiter);
      settle(waiter.fulfiller);
    }
  }

  size_t size() const { return waiters.size(); }

 private:
  struct Waiter {
    Waiter(kj::PromiseFulfiller<T>& fulfiller, PendingAnswers& owner, uint64_t id)
        : fulfiller(fulfiller), owner(owner), id(id) {
      owner.waiters.add(*this);
    }
    ~Waiter() noexcept(false) {
      if (link.isLinked()) owner.waiters.remove(*this);
    }
    kj::PromiseFulfiller<T>& fulfiller;
    PendingAnswers& owner;
    uint64_t id;
    kj::ListLink<Waiter> link;
  };

  kj::List<Waiter, &Waiter::link> waiters;
};

}  // namespace nexus
