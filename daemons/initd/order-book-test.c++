#include "daemons/initd/order-book.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

using Kind = TrafficOrder::Kind;

TEST_CASE("orders are kept in their order, for whoever asks later") {
  SimClock clock;
  OrderBook book;
  book.add(TrafficOrder{Kind::SOAK_BEGIN});
  book.add(TrafficOrder{Kind::ARM, 7});
  CHECK((clock.run(book.next(0)).kind == Kind::SOAK_BEGIN));
  CHECK(clock.run(book.next(1)).event == 7);
  CHECK((clock.run(book.next(0)).kind == Kind::SOAK_BEGIN));
}

TEST_CASE("who asks for an order that has not come waits for exactly that one, and giving up is harmless") {
  SimClock clock;
  OrderBook book;
  auto first = book.next(0), second = book.next(1);
  {
    auto givenUp = book.next(0);
  }
  CHECK_FALSE(first.poll(clock.waitScope));
  book.add(TrafficOrder{Kind::GO, 1});
  CHECK(clock.run(kj::mv(first)).event == 1);
  CHECK_FALSE(second.poll(clock.waitScope));
  book.add(TrafficOrder{Kind::GO, 2});
  CHECK(clock.run(kj::mv(second)).event == 2);
}

TEST_CASE("as many wait as may, and one more is refused; a place that was given up is free again") {
  SimClock clock;
  OrderBook book;
  kj::Vector<kj::Promise<TrafficOrder>> waiting;
  for (kj::uint i = 0; i < OrderBook::MAX_WAITERS; i++) waiting.add(book.next(0));
  CHECK_THROWS(clock.run(book.next(0)));
  waiting.removeLast();
  auto again = book.next(0);
  CHECK_FALSE(again.poll(clock.waitScope));
}

TEST_CASE("orders beyond the bound are dropped") {
  SimClock clock;
  OrderBook book;
  for (size_t i = 0; i < OrderBook::MAX_ORDERS + 1; i++) book.add(TrafficOrder{Kind::GO, uint32_t(i)});
  CHECK(clock.run(book.next(OrderBook::MAX_ORDERS - 1)).event == OrderBook::MAX_ORDERS - 1);
  auto beyond = book.next(OrderBook::MAX_ORDERS);
  CHECK_FALSE(beyond.poll(clock.waitScope));
}

}  // namespace
}  // namespace nexus
