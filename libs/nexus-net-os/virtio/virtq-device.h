#pragma once
// One split virtqueue, device's side: takes the chains a driver lends and gives them back. For the fake device and the
// hostile tests; owned by them. Reaches memory only through a DmaMap, as a device behind an IOMMU does, and trusts the
// driver no more than the driver trusts it. Spec: virtio 1.1, 2.6. Knows nothing of networking.
#include <kj/vector.h>

#include "libs/nexus-net-os/virtio/virtq.h"

namespace nexus {

// What the device may reach: an IOMMU made of a list.
class DmaMap {
 public:
  void map(DmaSpan span) { spans.add(span); }
  void clear() { spans.clear(); }

  // The bytes behind an address; null, and counted, when not all of them are mapped in one span.
  kj::Maybe<kj::ArrayPtr<kj::byte>> resolve(uint64_t iova, uint64_t length);

  uint64_t faultCount() const { return faults; }

  // From here on a fault is answered as QEMU's IOMMU does: the device reads zeros, and what it writes is lost.
  void absorbFaults(size_t most) { absorbed = kj::heapArray<kj::byte>(most); }

 private:
  kj::Vector<DmaSpan> spans;
  uint64_t faults = 0;
  kj::Array<kj::byte> absorbed;
};

class VirtqDevice {
 public:
  // FAILED when the rings are not mapped.
  VirtqDevice(uint16_t size, const virtio::VirtqAddresses& at, DmaMap& dma, bool eventIdx);

  struct Chain {
    uint16_t head;
    kj::Vector<kj::ArrayPtr<kj::byte>> readable;
    kj::Vector<kj::ArrayPtr<kj::byte>> writable;
  };

  // The next chain; null when there is none. FAILED for a chain that is longer than the queue (a loop), leaves the
  // table, or names memory that is not mapped.
  kj::Maybe<Chain> pop();

  // Gives a chain back, visible after publish(), which says whether the driver wants an interrupt.
  void use(uint16_t head, uint32_t written);
  [[nodiscard]] bool publish();

  // How many chains wait to be popped.
  uint16_t available() const;

  // What only a broken or hostile device does ----
  void scribbleDescriptors(const virtio::VirtqDesc& desc);        // over the whole table
  void rawElement(uint16_t position, uint32_t id, uint32_t len);  // any slot of the used ring
  void rawUsedIndex(uint16_t index);
  void rawBytes(kj::ArrayPtr<const kj::byte> bytes, size_t offset);  // anywhere in the used ring, index included
  uint16_t usedIndex() const { return usedNext; }
  size_t usedBytes() const { return usedArea.size(); }

 private:
  uint16_t queueSize;
  bool eventIdx;
  DmaMap& dma;
  kj::ArrayPtr<virtio::VirtqDesc> table;
  kj::ArrayPtr<uint16_t> availArea;  // flags, idx, ring, used_event
  kj::ArrayPtr<kj::byte> usedArea;
  uint16_t availNext = 0;
  uint16_t usedNext = 0;
  uint16_t usedPublished = 0;

  void askForNotification();
};

}  // namespace nexus
