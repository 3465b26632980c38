#include "daemons/dsoftbusd/mux/byte-queue.h"

#include <doctest/doctest.h>

#include <deque>

#include "libs/nexus-net-os/testing/fixed-entropy.h"

namespace nexus {
namespace {

TEST_CASE("bytes leave in the order in which they came, whatever the pieces, as those of a deque do") {
  FixedEntropy random(11);
  ByteQueue queue;
  std::deque<kj::byte> model;
  kj::byte next = 0;
  for (int step = 0; step < 20000; step++) {
    if (random.next() % 2 == 0) {
      kj::byte piece[300];
      size_t n = random.next() % sizeof(piece);
      for (size_t i = 0; i < n; i++) model.push_back(piece[i] = next++);
      queue.push(kj::arrayPtr(piece, n));
    } else {
      kj::byte out[400];
      size_t wanted = random.next() % sizeof(out), n = queue.pop(kj::arrayPtr(out, wanted));
      REQUIRE(n == kj::min(wanted, model.size()));
      for (size_t i = 0; i < n; i++) {
        REQUIRE(out[i] == model.front());
        model.pop_front();
      }
    }
    REQUIRE(queue.size() == model.size());
  }
}

TEST_CASE("an empty queue gives nothing, and so does a cleared one") {
  ByteQueue queue;
  kj::byte out[4];
  CHECK(queue.pop(out) == 0);
  queue.push("abc"_kj.asBytes());
  CHECK(queue.pop(kj::arrayPtr(out, 0)) == 0);
  queue.clear();
  CHECK(queue.size() == 0);
  CHECK(queue.pop(out) == 0);
}

}  // namespace
}  // namespace nexus
