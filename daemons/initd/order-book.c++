#include "daemons/initd/order-book.h"

#include <kj/debug.h>

namespace nexus {

OrderBook::Waiter::Waiter(kj::PromiseFulfiller<TrafficOrder>& fulfiller, OrderBook& book, uint32_t after)
    : fulfiller(fulfiller), book(book), after(after) {
  book.waiters.add(*this);
  book.waiting++;
}

OrderBook::Waiter::~Waiter() noexcept(false) {
  if (!link.isLinked()) return;
  book.waiters.remove(*this);
  book.waiting--;
}

void OrderBook::add(const TrafficOrder& order) {
  if (orders.size() >= MAX_ORDERS) {
    KJ_LOG(WARNING, "too many orders: dropped", order.text());
    return;
  }
  orders.add(order);
  for (auto& waiter : waiters) {
    if (waiter.after >= orders.size()) continue;
    waiters.remove(waiter);
    waiting--;
    waiter.fulfiller.fulfill(kj::cp(orders[waiter.after]));
  }
}

kj::Promise<TrafficOrder> OrderBook::next(uint32_t after) {
  if (after < orders.size()) return orders[after];
  if (waiting >= MAX_WAITERS) return KJ_EXCEPTION(OVERLOADED, "too many calls wait for an order", MAX_WAITERS);
  return kj::newAdaptedPromise<TrafficOrder, Waiter>(*this, after);
}

}  // namespace nexus
