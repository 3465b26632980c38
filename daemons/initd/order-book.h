#pragma once
// The orders that the harness has given to the selftest, in the order in which they came; the selftest asks for the
// next one. Owned by initd. Keeps all of them, so that nobody has to be there when one comes.
#include <kj/async.h>
#include <kj/list.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/daemon/status-command.h"

namespace nexus {

class OrderBook final {
 public:
  // Orders of one boot; further ones are dropped and logged.
  static constexpr size_t MAX_ORDERS = 1024;
  static constexpr kj::uint MAX_WAITERS = 4;

  OrderBook() = default;
  KJ_DISALLOW_COPY_AND_MOVE(OrderBook);

  void add(const TrafficOrder& order);

  // The order behind the first `after` ones; waits for it. OVERLOADED when too many wait.
  kj::Promise<TrafficOrder> next(uint32_t after);

 private:
  // One next() for an order that has not come. If its caller gives up, the destructor unlinks it.
  struct Waiter {
    Waiter(kj::PromiseFulfiller<TrafficOrder>& fulfiller, OrderBook& book, uint32_t after);
    ~Waiter() noexcept(false);
    kj::PromiseFulfiller<TrafficOrder>& fulfiller;
    OrderBook& book;
    uint32_t after;
    kj::ListLink<Waiter> link;
  };

  kj::Vector<TrafficOrder> orders;
  kj::uint waiting = 0;
  kj::List<Waiter, &Waiter::link> waiters;
};

}  // namespace nexus
