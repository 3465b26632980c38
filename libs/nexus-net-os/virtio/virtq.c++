#include "libs/nexus-net-os/virtio/virtq.h"

#include <kj/debug.h>

#include <atomic>
#include <cstring>

namespace nexus {

namespace {

// The parts of the ring memory. A queue fills whole pages and its used ring lies within one: QEMU 7.2 behind an IOMMU
// puts the second half of a used element that crosses a page at a wrong address.
struct Layout {
  size_t avail, used, total;

  explicit Layout(uint16_t size) {
    auto align = [](size_t n, size_t to) { return (n + to - 1) / to * to; };
    avail = sizeof(virtio::VirtqDesc) * size;
    // Each ring and, behind it, the event field of the other side.
    used = align(avail + sizeof(virtio::VirtqAvail) + sizeof(uint16_t) * size + sizeof(uint16_t), CACHE_LINE);
    total =
        align(used + sizeof(virtio::VirtqUsed) + sizeof(virtio::VirtqUsedElem) * size + sizeof(uint16_t), Virtq::PAGE);
  }

  static constexpr size_t CACHE_LINE = 64;
};

template <typename T>
T load(T& shared, std::memory_order order = std::memory_order_relaxed) {
  return std::atomic_ref<T>(shared).load(order);
}

template <typename T>
void store(T& shared, T value, std::memory_order order = std::memory_order_relaxed) {
  std::atomic_ref<T>(shared).store(value, order);
}

}  // namespace

size_t Virtq::memorySize(uint16_t size) {
  return Layout(size).total;
}

Virtq::Virtq(uint16_t size, DmaSpan memory, bool eventIdx)
    : queueSize(size), eventIdx(eventIdx), memory(memory), shadow(kj::heapArray<Shadow>(size)), freeCount(size) {
  KJ_REQUIRE(std::has_single_bit(size) && size <= MAX_SIZE, "a queue's size is a power of two up to 256", size);
  Layout layout(size);
  KJ_REQUIRE(memory.size() >= layout.total, "too little ring memory", memory.size(), layout.total);
  auto base = memory.bytes().begin();
  KJ_REQUIRE(reinterpret_cast<uintptr_t>(base) % PAGE == 0 && memory.iova() % PAGE == 0,
             "ring memory begins at a page");
  memset(base, 0, layout.total);

  table = reinterpret_cast<virtio::VirtqDesc*>(base);
  avail = reinterpret_cast<virtio::VirtqAvail*>(base + layout.avail);
  availRing = reinterpret_cast<uint16_t*>(avail + 1);
  usedEvent = availRing + size;
  used = reinterpret_cast<virtio::VirtqUsed*>(base + layout.used);
  usedRing = reinterpret_cast<virtio::VirtqUsedElem*>(used + 1);
  availEvent = reinterpret_cast<uint16_t*>(usedRing + size);

  for (uint16_t i = 0; i < size; i++) shadow[i] = {static_cast<uint16_t>(i + 1), 0, 0, 0, 0};
}

virtio::VirtqAddresses Virtq::addresses() const {
  Layout layout(queueSize);
  return {memory.iova(), memory.iova() + layout.avail, memory.iova() + layout.used};
}

bool Virtq::offer(kj::ArrayPtr<const Element> chain) {
  KJ_REQUIRE(chain.size() > 0, "an empty chain");
  if (chain.size() > freeCount) return false;

  uint16_t head = freeHead, index = head, last = head;
  uint32_t writable = 0;
  for (size_t i = 0; i < chain.size(); i++) {
    bool more = i + 1 < chain.size();
    last = index;
    index = shadow[index].next;
    uint16_t flags = (more ? virtio::VirtqDesc::NEXT : 0) | (chain[i].deviceWrites ? virtio::VirtqDesc::WRITE : 0);
    table[last] = {chain[i].address, chain[i].length, flags, more ? index : uint16_t{0}};
    if (chain[i].deviceWrites) writable += chain[i].length;
  }
  freeHead = index;
  freeCount -= chain.size();

  auto& entry = shadow[head];
  entry.last = last;
  entry.count = chain.size();
  entry.position = availNext;
  entry.writable = writable;
  store(availRing[availNext & (queueSize - 1)], head);
  availNext++;
  return true;
}

bool Virtq::publish() {
  uint16_t before = availPublished;
  if (availNext == before) return false;
  publishedChains += static_cast<uint16_t>(availNext - before);
  availPublished = availNext;

  // 2.6.13.3.1: the device must see descriptors and ring slots before the index that announces them.
  store(avail->idx, availNext, std::memory_order_release);
  // 2.6.13.4.1: it must see the index before we read whether it wants to be told, or both sides may wait for the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (eventIdx) return virtio::passesEvent(load(*availEvent), availNext, before);
  return (load(used->flags) & virtio::VirtqUsed::NO_NOTIFY) == 0;
}

bool Virtq::ready() const {
  return broken == nullptr && load(used->idx) != usedNext;
}

kj::Maybe<Virtq::Used> Virtq::take() {
  if (broken != nullptr) return nullptr;
  // 2.6.14: acquire, so that the element and the buffer's bytes are read after the index that announced them.
  uint16_t pending = load(used->idx, std::memory_order_acquire) - usedNext;
  if (pending == 0) return nullptr;
  if (pending > publishedChains) {
    broken = DeviceFault::USED_INDEX_JUMP;
    return nullptr;
  }

  // Read once: the device may change it under our eyes.
  auto& element = usedRing[usedNext & (queueSize - 1)];
  uint32_t id = load(element.id), written = load(element.len);
  broken = check(id, written);
  if (broken != nullptr) return nullptr;

  usedNext++;
  release(id);
  return Used{static_cast<uint16_t>(id), written};
}

kj::Maybe<DeviceFault> Virtq::check(uint32_t id, uint32_t written) const {
  if (id >= queueSize) return DeviceFault::ID_OUT_OF_RANGE;
  auto& head = shadow[id];
  if (head.count == 0 || !isPublished(head)) return DeviceFault::ID_NOT_OUTSTANDING;
  if (written > head.writable) return DeviceFault::LENGTH_TOO_LARGE;
  return nullptr;
}

bool Virtq::isPublished(const Shadow& head) const {
  return static_cast<uint16_t>(head.position - availPublished) >= static_cast<uint16_t>(availNext - availPublished);
}

void Virtq::release(uint16_t head) {
  auto& entry = shadow[head];
  shadow[entry.last].next = freeHead;
  freeHead = head;
  freeCount += entry.count;
  entry.count = 0;
  publishedChains--;
}

bool Virtq::arm(uint16_t ahead) {
  if (eventIdx) {
    store(*usedEvent, static_cast<uint16_t>(usedNext + ahead));
  } else {
    store(avail->flags, uint16_t{0});
  }
  // 2.6.7.1: the device must see the wish before we look for what it did without knowing of it.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return static_cast<uint16_t>(load(used->idx) - usedNext) > ahead;
}

void Virtq::disarm() {
  // With EVENT_IDX the index named last lies behind and stays silent for a whole turn.
  if (!eventIdx) store(avail->flags, virtio::VirtqAvail::NO_INTERRUPT);
}

}  // namespace nexus
