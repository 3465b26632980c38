#include "daemons/dsoftbusd/mux/mux-scheduler.h"

#include <kj/debug.h>

#include <algorithm>

namespace nexus {

namespace {

constexpr kj::uint LOWER_QUEUES = MUX_PRIORITIES - 1;

MuxStreamId takeFront(std::deque<MuxStreamId>& queue) {
  auto id = queue.front();
  queue.pop_front();
  return id;
}

}  // namespace

bool MuxScheduler::contains(MuxStreamId stream, kj::byte priority) const {
  auto& queue = queues[priority];
  return std::find(queue.begin(), queue.end(), stream) != queue.end();
}

void MuxScheduler::add(MuxStreamId stream, kj::byte priority) {
  KJ_REQUIRE(priority < MUX_PRIORITIES);
  if (!contains(stream, priority)) queues[priority].push_back(stream);
}

void MuxScheduler::remove(MuxStreamId stream, kj::byte priority) {
  KJ_REQUIRE(priority < MUX_PRIORITIES);
  auto& queue = queues[priority];
  queue.erase(std::remove(queue.begin(), queue.end(), stream), queue.end());
}

kj::Maybe<MuxStreamId> MuxScheduler::next() {
  if (queues[0].empty()) {
    burst = 0;
    return nextLower();
  }
  if (burst >= MUX_HIGH_PRIORITY_BURST) {
    KJ_IF_MAYBE (lower, nextLower()) {
      burst = 0;
      return *lower;
    }
  } else {
    burst++;
  }
  return takeFront(queues[0]);
}

kj::Maybe<MuxStreamId> MuxScheduler::nextLower() {
  for (kj::uint i = 0; i < LOWER_QUEUES; i++) {
    kj::uint at = (cursor + i) % LOWER_QUEUES;
    auto& queue = queues[1 + at];
    if (queue.empty()) continue;
    cursor = (at + 1) % LOWER_QUEUES;
    return takeFront(queue);
  }
  return nullptr;
}

size_t MuxScheduler::size() const {
  size_t sum = 0;
  for (auto& queue : queues) sum += queue.size();
  return sum;
}

}  // namespace nexus
