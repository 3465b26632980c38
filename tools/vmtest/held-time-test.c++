#include "tools/vmtest/held-time.h"

#include <doctest/doctest.h>

namespace nexus::vmtest {
namespace {

TEST_CASE("a limit grows by what the node that waited longest has waited since it began, up to a bound") {
  HeldTime held;
  held.note(0, 2 * kj::SECONDS);
  held.note(1, 5 * kj::SECONDS);
  auto mark = held.total();
  CHECK(mark == 5 * kj::SECONDS);
  CHECK(held.extra(10 * kj::SECONDS, mark) == 0 * kj::SECONDS);
  held.note(0, 6 * kj::SECONDS);
  CHECK(held.extra(10 * kj::SECONDS, mark) == 1 * kj::SECONDS);
  held.note(1, 36 * kj::SECONDS);
  CHECK(held.extra(10 * kj::SECONDS, mark) == 30 * kj::SECONDS);
  held.note(1, 3600 * kj::SECONDS);
  CHECK(held.extra(10 * kj::SECONDS, mark) == 30 * kj::SECONDS);
}

TEST_CASE("a guest that has ended, of which nothing is counted any more, takes nothing back") {
  HeldTime held;
  held.note(0, 3 * kj::SECONDS);
  held.note(0, 0 * kj::SECONDS);
  CHECK(held.total() == 3 * kj::SECONDS);
}

}  // namespace
}  // namespace nexus::vmtest
