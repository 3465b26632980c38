#include "daemons/dsoftbusd/bus/half-open-limit.h"

#include <doctest/doctest.h>
#include <kj/vector.h>

namespace nexus {
namespace {

kj::TimePoint at(int64_t ms) {
  return kj::origin<kj::TimePoint>() + ms * kj::MILLISECONDS;
}
const auto A = IpAddress::v4(10, 0, 0, 1), B = IpAddress::v4(10, 0, 0, 2), C = IpAddress::v4(10, 0, 0, 3);

TEST_CASE("one source gets as many places as its bound, and one back when it leaves one") {
  HalfOpenLimit limit({.total = 10, .perSource = 2});
  auto first = limit.tryEnter(A, at(0)), second = limit.tryEnter(A, at(0));
  CHECK(first != nullptr);
  CHECK(second != nullptr);
  CHECK(limit.tryEnter(A, at(0)) == nullptr);
  CHECK(limit.counters().refusedSource == 1);
  CHECK(limit.mostOfOneSource() == 2);
  CHECK(limit.tryEnter(B, at(0)) != nullptr);
  first = nullptr;
  CHECK(limit.tryEnter(A, at(0)) != nullptr);
}

TEST_CASE("all sources together get no more than the total") {
  HalfOpenLimit limit({.total = 3, .perSource = 2});
  kj::Vector<kj::Own<HalfOpenLimit::Place>> places;
  auto enter = [&](const IpAddress& source) {
    auto place = limit.tryEnter(source, at(0));
    KJ_IF_MAYBE (p, place) {
      places.add(kj::mv(*p));
      return true;
    }
    return false;
  };
  CHECK(enter(A));
  CHECK(enter(A));
  CHECK(enter(B));
  CHECK_FALSE(enter(C));
  CHECK(limit.counters().refusedTotal == 1);
  CHECK(limit.count() == 3);
  places.clear();
  CHECK(limit.count() == 0);
  CHECK(enter(C));
}

TEST_CASE("a source that begins handshake after handshake is limited in time") {
  HalfOpenLimit limit({.perSecond = 10, .burst = 20});
  int passed = 0;
  for (int i = 0; i < 50; i++) passed += limit.tryEnter(A, at(0)) == nullptr ? 0 : 1;
  CHECK(passed == 20);
  CHECK(limit.counters().refusedRate == 30);
  CHECK(limit.tryEnter(A, at(100)) != nullptr);
  CHECK(limit.tryEnter(B, at(0)) != nullptr);
}

}  // namespace
}  // namespace nexus
