#include "daemons/dsoftbusd/mux/byte-queue.h"

#include <doctest/doctest.h>
#include <kj/string.h>

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

TEST_CASE("memory is in proportion to the bytes that wait, whatever the pieces") {
  FixedEntropy random(5);
  ByteQueue queue;
  kj::byte piece[ByteQueue::MAX_CHUNK] = {};
  for (int i = 0; i < 1000; i++) {
    queue.push(kj::arrayPtr(piece, 1));
    REQUIRE(queue.capacity() <= 2 * queue.size() + ByteQueue::MIN_CHUNK);
  }
  for (int step = 0; step < 5000; step++) {
    if (random.next() % 2 == 0 && queue.size() < 262144) {
      queue.push(kj::arrayPtr(piece, random.next() % sizeof(piece)));
    } else {
      auto out = kj::heapArray<kj::byte>(random.next() % 70000);
      queue.pop(out);
    }
    REQUIRE(queue.capacity() < queue.size() + 2 * ByteQueue::MAX_CHUNK);
    if (queue.size() == 0) REQUIRE(queue.capacity() == 0);
  }
}

TEST_CASE("what is put back comes before everything else, and into an empty queue too") {
  ByteQueue queue;
  queue.pushFront("c"_kj.asBytes());
  queue.push("d"_kj.asBytes());
  queue.pushFront("ab"_kj.asBytes());
  queue.pushFront(nullptr);
  CHECK(queue.size() == 4);
  kj::byte out[5];
  CHECK(queue.pop(out) == 4);
  CHECK(kj::heapString(kj::arrayPtr(out, 4).asChars()) == "abcd");
  CHECK(queue.capacity() == 0);
}

TEST_CASE("memory that bytes came in becomes a chunk, in its order") {
  ByteQueue queue;
  queue.push("ab"_kj.asBytes());
  auto memory = kj::heapArray("-cd-"_kj.asBytes());
  auto where = memory.begin();
  auto bytes = memory.slice(1, 3);
  queue.push(bytes, kj::mv(memory));
  queue.push("ef"_kj.asBytes());
  auto first = queue.take(2), second = queue.take(2), third = queue.take(2);
  CHECK(kj::heapString(first.bytes.asChars()) == "ab");
  CHECK(kj::heapString(second.bytes.asChars()) == "cd");
  CHECK(second.memory.begin() == where);
  CHECK(kj::heapString(third.bytes.asChars()) == "ef");
  CHECK_THROWS(queue.push("x"_kj.asBytes(), kj::heapArray("x"_kj.asBytes())));
}

TEST_CASE("a whole chunk is taken as it is, pieces are put together") {
  ByteQueue queue;
  auto whole = kj::heapArray<kj::byte>(ByteQueue::MAX_CHUNK);
  memset(whole.begin(), 'w', whole.size());
  queue.push("ab"_kj.asBytes());
  queue.push("cd"_kj.asBytes());
  auto first = queue.take(3);
  CHECK(kj::heapString(first.bytes.asChars()) == "abc");
  CHECK(queue.size() == 1);
  queue.push(whole);
  queue.push(whole);
  CHECK(queue.take(ByteQueue::MAX_CHUNK).bytes.size() == ByteQueue::MAX_CHUNK);  // across two chunks
  CHECK(queue.take(ByteQueue::MAX_CHUNK).bytes.size() == ByteQueue::MAX_CHUNK);
  CHECK(queue.take(ByteQueue::MAX_CHUNK).bytes.size() == 1);
  CHECK(queue.capacity() == 0);
  CHECK_THROWS(queue.take(1));
}

}  // namespace
}  // namespace nexus
