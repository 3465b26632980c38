#include "libs/nexus-net-os/virtio/virtq-device.h"

#include <kj/debug.h>

#include <atomic>
#include <cstring>

namespace nexus {

kj::Maybe<kj::ArrayPtr<kj::byte>> DmaMap::resolve(uint64_t iova, uint64_t length) {
  for (auto& span : spans) {
    if (iova < span.iova()) continue;
    uint64_t start = iova - span.iova();
    if (start <= span.size() && length <= span.size() - start) return span.bytes().slice(start, start + length);
  }
  faults++;
  if (length > absorbed.size()) return nullptr;
  memset(absorbed.begin(), 0, absorbed.size());
  return absorbed.slice(0, length);
}

VirtqDevice::VirtqDevice(uint16_t size, const virtio::VirtqAddresses& at, DmaMap& dma, bool eventIdx)
    : queueSize(size), eventIdx(eventIdx), dma(dma) {
  auto tableBytes =
      KJ_REQUIRE_NONNULL(dma.resolve(at.descriptors, sizeof(virtio::VirtqDesc) * size), "table not mapped");
  auto availBytes = KJ_REQUIRE_NONNULL(dma.resolve(at.avail, 6 + 2 * size), "avail ring not mapped");
  usedArea = KJ_REQUIRE_NONNULL(dma.resolve(at.used, 6 + 8 * size), "used ring not mapped");
  table = kj::arrayPtr(reinterpret_cast<virtio::VirtqDesc*>(tableBytes.begin()), size);
  availArea = kj::arrayPtr(reinterpret_cast<uint16_t*>(availBytes.begin()), 3 + size);
  askForNotification();
}

uint16_t VirtqDevice::available() const {
  return std::atomic_ref<uint16_t>(const_cast<uint16_t&>(availArea[1])).load(std::memory_order_acquire) - availNext;
}

kj::Maybe<VirtqDevice::Chain> VirtqDevice::pop() {
  uint16_t pending = available();
  KJ_REQUIRE(pending <= queueSize, "the driver's avail index jumped", pending);
  if (pending == 0) return nullptr;

  Chain chain;
  chain.head = availArea[2 + (availNext++ & (queueSize - 1))];
  askForNotification();
  uint16_t index = chain.head;
  for (uint16_t count = 1;; count++) {
    KJ_REQUIRE(count <= queueSize, "a chain longer than the queue: it loops", chain.head);
    KJ_REQUIRE(index < queueSize, "a chain leaves the table", chain.head, index);
    virtio::VirtqDesc desc = table[index];
    auto bytes = KJ_REQUIRE_NONNULL(dma.resolve(desc.addr, desc.len), "a descriptor names unmapped memory", desc.addr);
    ((desc.flags & virtio::VirtqDesc::WRITE) ? chain.writable : chain.readable).add(bytes);
    if ((desc.flags & virtio::VirtqDesc::NEXT) == 0) return kj::mv(chain);
    index = desc.next;
  }
}

void VirtqDevice::use(uint16_t head, uint32_t written) {
  rawElement(usedNext++, head, written);
}

bool VirtqDevice::publish() {
  uint16_t before = usedPublished;
  if (before == usedNext) return false;
  usedPublished = usedNext;
  rawUsedIndex(usedNext);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  auto read = [this](size_t at) { return std::atomic_ref<uint16_t>(availArea[at]).load(std::memory_order_relaxed); };
  if (eventIdx) return virtio::passesEvent(read(2 + queueSize), usedNext, before);
  return (read(0) & virtio::VirtqAvail::NO_INTERRUPT) == 0;
}

void VirtqDevice::askForNotification() {
  auto& event = *reinterpret_cast<uint16_t*>(usedArea.begin() + 4 + 8 * queueSize);
  std::atomic_ref<uint16_t>(event).store(availNext, std::memory_order_relaxed);
}

void VirtqDevice::scribbleDescriptors(const virtio::VirtqDesc& desc) {
  for (auto& entry : table) entry = desc;
}

void VirtqDevice::rawElement(uint16_t position, uint32_t id, uint32_t len) {
  virtio::VirtqUsedElem element{id, len};
  rawBytes(kj::arrayPtr(reinterpret_cast<const kj::byte*>(&element), sizeof(element)),
           sizeof(virtio::VirtqUsed) + sizeof(element) * (position & (queueSize - 1)));
}

void VirtqDevice::rawUsedIndex(uint16_t index) {
  auto& idx = reinterpret_cast<virtio::VirtqUsed*>(usedArea.begin())->idx;
  std::atomic_ref<uint16_t>(idx).store(index, std::memory_order_release);
}

void VirtqDevice::rawBytes(kj::ArrayPtr<const kj::byte> bytes, size_t offset) {
  memcpy(usedArea.slice(offset, offset + bytes.size()).begin(), bytes.begin(), bytes.size());
}

}  // namespace nexus
