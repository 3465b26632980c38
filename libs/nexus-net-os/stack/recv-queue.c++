#include "libs/nexus-net-os/stack/recv-queue.h"

#include <kj/debug.h>

#include "lwip/pbuf.h"

namespace nexus {

RecvQueue::~RecvQueue() {
  clear();
}

void RecvQueue::clear() {
  for (auto& item : queue) pbuf_free(item.buffer);
  queue.clear();
  bytes = 0;
}

void RecvQueue::push(pbuf* chain) {
  // Each pbuf of a chain gets a life of its own.
  while (chain != nullptr) {
    pbuf* next = chain->next;
    if (next != nullptr) pbuf_ref(next);
    pbuf_dechain(chain);
    pushOne(chain);
    chain = next;
  }
}

void RecvQueue::pushOne(pbuf* buffer) {
  size_t length = buffer->len;
  if (length == 0) {
    pbuf_free(buffer);
    return;
  }
  bytes += length;
  if (length <= SMALL && !queue.empty()) {
    if (queue.back().room < length) {
      // A new buffer to join in; without memory for one the piece stays as it is.
      if (pbuf* joined = pbuf_alloc(PBUF_RAW, JOINED, PBUF_RAM)) {
        joined->len = joined->tot_len = 0;
        queue.push_back({joined, 0, JOINED});
      }
    }
    auto& last = queue.back();
    if (last.room >= length) {
      memcpy(static_cast<kj::byte*>(last.buffer->payload) + last.buffer->len, buffer->payload, length);
      last.buffer->tot_len = last.buffer->len = last.buffer->len + length;
      last.room -= length;
      pbuf_free(buffer);
      return;
    }
  }
  queue.push_back({buffer, 0, 0});
}

kj::ArrayPtr<const kj::byte> RecvQueue::front() const {
  if (queue.empty()) return nullptr;
  auto& item = queue.front();
  auto* start = static_cast<const kj::byte*>(item.buffer->payload);
  return kj::arrayPtr(start + item.offset, start + item.buffer->len);
}

size_t RecvQueue::pieces(kj::ArrayPtr<kj::ArrayPtr<const kj::byte>> out) const {
  size_t count = 0;
  for (auto& item : queue) {
    if (count == out.size()) break;
    auto* start = static_cast<const kj::byte*>(item.buffer->payload);
    out[count++] = kj::arrayPtr(start + item.offset, start + item.buffer->len);
  }
  return count;
}

void RecvQueue::consume(size_t count) {
  KJ_REQUIRE(count <= bytes, "more than was received");
  bytes -= count;
  while (count > 0) {
    auto& item = queue.front();
    size_t here = kj::min(count, item.buffer->len - item.offset);
    item.offset += here;
    count -= here;
    if (item.offset == item.buffer->len) {
      pbuf_free(item.buffer);
      queue.pop_front();
    }
  }
}

}  // namespace nexus
