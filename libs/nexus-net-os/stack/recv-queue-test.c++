#include "libs/nexus-net-os/stack/recv-queue.h"

#include <doctest/doctest.h>

#include "libs/nexus-net-os/stack/stack-fixture.h"
#include "lwip/pbuf.h"

namespace nexus {
namespace {

// lwIP's memory needs a stack around it.
struct QueueFixture : StackFixture {
  pbuf* chain(std::initializer_list<size_t> sizes) {
    pbuf* head = nullptr;
    for (size_t size : sizes) {
      pbuf* p = pbuf_alloc(PBUF_RAW, size, PBUF_RAM);
      for (size_t i = 0; i < size; ++i) static_cast<kj::byte*>(p->payload)[i] = next++;
      if (head == nullptr) {
        head = p;
      } else {
        pbuf_cat(head, p);
      }
    }
    return head;
  }

  // Takes everything in steps and checks the order.
  void drain(RecvQueue& queue, size_t step) {
    while (queue.size() > 0) {
      auto front = queue.front();
      REQUIRE(front.size() > 0);
      size_t n = kj::min(step, front.size());
      for (size_t i = 0; i < n; ++i) REQUIRE(front[i] == expected++);
      queue.consume(n);
    }
  }

  kj::byte next = 0, expected = 0;
};

TEST_CASE("bytes come out in the order in which they went in, whatever the pieces") {
  QueueFixture f;
  size_t before = f.stack.counters().heapBytesNow;
  {
    RecvQueue queue;
    for (size_t step : {1, 3, 1000, 100000}) {
      queue.push(f.chain({1000, 0, 1, 600, 3}));
      queue.push(f.chain({1}));
      queue.push(f.chain({512, 513, 2000}));
      CHECK(queue.size() == 1000 + 1 + 600 + 3 + 1 + 512 + 513 + 2000);
      f.drain(queue, step);
      CHECK(queue.front().size() == 0);
      CHECK(queue.buffers() == 0);
    }
    queue.push(f.chain({10, 20}));
  }
  CHECK(f.stack.counters().heapBytesNow == before);  // what nobody took is freed too
}

TEST_CASE("many pieces are seen at once, as many as asked for, from where the first was left") {
  QueueFixture f;
  RecvQueue queue;
  kj::ArrayPtr<const kj::byte> pieces[4];
  CHECK(queue.pieces(pieces) == 0);
  queue.push(f.chain({1000, 600, 2000}));
  queue.consume(990);
  REQUIRE(queue.pieces(pieces) == 3);
  CHECK(pieces[0].size() == 10);
  CHECK(pieces[1].size() == 600);
  CHECK(pieces[2].size() == 2000);
  kj::byte expected = kj::byte(990);
  for (auto piece : kj::arrayPtr(pieces, 3)) {
    for (kj::byte b : piece) REQUIRE(b == expected++);
  }
  CHECK(queue.pieces(kj::arrayPtr(pieces, 2)) == 2);
  queue.consume(10 + 600 + 1);
  REQUIRE(queue.pieces(pieces) == 1);
  CHECK(pieces[0].size() == 1999);
  CHECK(pieces[0].begin() == queue.front().begin());
}

TEST_CASE("small pieces are joined, large ones are kept as they are") {
  QueueFixture f;
  RecvQueue queue;
  for (int i = 0; i < 4096; ++i) queue.push(f.chain({1}));
  CHECK(queue.buffers() <= 1 + 4096 / RecvQueue::JOINED + 1);
  f.drain(queue, 7);
  for (int i = 0; i < 10; ++i) queue.push(f.chain({1460}));
  CHECK(queue.buffers() == 10);
  f.drain(queue, 10000);
}

TEST_CASE("taking more than there is is an error") {
  QueueFixture f;
  RecvQueue queue;
  queue.push(f.chain({10}));
  CHECK(kj::runCatchingExceptions([&]() { queue.consume(11); }) != nullptr);
}

}  // namespace
}  // namespace nexus
