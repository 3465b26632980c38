#include "libs/nexus-net-os/base/wait-list.h"

#include <kj/debug.h>

namespace nexus {

WaitList::Waiter::Waiter(kj::PromiseFulfiller<void>& fulfiller, WaitList& list) : fulfiller(fulfiller), list(list) {
  list.waiters.add(*this);
}

WaitList::Waiter::~Waiter() noexcept(false) {
  if (link.isLinked()) list.waiters.remove(*this);
}

WaitList::~WaitList() noexcept(false) {
  if (!waiters.empty()) rejectAll(KJ_EXCEPTION(DISCONNECTED, "what was waited for is gone"));
}

kj::Promise<void> WaitList::wait() {
  return kj::newAdaptedPromise<void, Waiter>(*this);
}

void WaitList::wakeAll() {
  while (!waiters.empty()) {
    Waiter& first = waiters.front();
    waiters.remove(first);
    first.fulfiller.fulfill();
  }
}

void WaitList::rejectAll(const kj::Exception& reason) {
  while (!waiters.empty()) {
    Waiter& first = waiters.front();
    waiters.remove(first);
    first.fulfiller.reject(kj::cp(reason));
  }
}

}  // namespace nexus
