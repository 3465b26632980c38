#pragma once
// One split virtqueue, driver's side: lends chains of buffers to the device and gets them back once used. Owned by a
// device driver; knows nothing of PCI, of networking or of the event loop. Spec: virtio 1.1, 2.6.
//
//   driver                     ring memory                       device
//   offer()   -> descriptors, avail ring
//   publish() -> avail index                                     takes chains
//   take()    <-                        used ring, used index <- is done with them
//
// The device can write all of the ring memory at any time. So nothing that the driver wrote there is ever read back:
// what each descriptor holds and which chain it belongs to is kept in a shadow of its own, and a descriptor table full
// of loops means nothing here. What the device says (used index, id, length) is read once, checked against the shadow,
// and a lie ends the queue.
#include <kj/array.h>
#include <kj/common.h>

#include "libs/nexus-net-os/virtio/virtio-counters.h"
#include "libs/nexus-net-os/virtio/virtio-types.h"

namespace nexus {

// Memory that driver and device share: the same bytes under the driver's pointer and under the device's address.
class DmaSpan {
 public:
  DmaSpan(kj::ArrayPtr<kj::byte> bytes, uint64_t iova) : first(bytes.begin()), length(bytes.size()), address(iova) {}

  kj::ArrayPtr<kj::byte> bytes() const { return {first, length}; }
  size_t size() const { return length; }
  uint64_t iova() const { return address; }
  DmaSpan slice(size_t start, size_t end) const { return {bytes().slice(start, end), address + start}; }

 private:
  kj::byte* first;
  size_t length;
  uint64_t address;
};

class Virtq {
 public:
  static constexpr uint16_t MAX_SIZE = 256;  // descriptors
  static constexpr size_t PAGE = 4096;       // bytes

  // Bytes of ring memory that a queue of `size` descriptors takes: whole pages.
  static size_t memorySize(uint16_t size);

  // `size` is a power of two up to MAX_SIZE. `memory` begins at a page, is at least memorySize() long, and is reachable
  // by the device and by nobody else: who can write descriptors chooses DMA addresses. It is cleared here.
  Virtq(uint16_t size, DmaSpan memory, bool eventIdx);
  KJ_DISALLOW_COPY_AND_MOVE(Virtq);

  virtio::VirtqAddresses addresses() const;
  uint16_t size() const { return queueSize; }

  struct Element {
    uint64_t address;
    uint32_t length;
    bool deviceWrites;
  };

  // Lends one chain. Its head, the name under which take() returns it, is what nextHead() said before. False when too
  // few descriptors are free. Elements that the device writes come last (2.6.4.2). The device sees nothing of it before
  // publish().
  [[nodiscard]] bool offer(kj::ArrayPtr<const Element> chain);
  uint16_t nextHead() const { return freeHead; }

  // Makes every chain offered since the last call visible. True when the device wants to be notified.
  [[nodiscard]] bool publish();

  struct Used {
    uint16_t head;
    uint32_t written;  // never more than the chain's writable bytes
  };

  // The next chain that the device is done with, which is the caller's again. Null when there is none, or when fault()
  // says why there will never be one.
  kj::Maybe<Used> take();
  kj::Maybe<DeviceFault> fault() const { return broken; }

  // True when take() would find something.
  bool ready() const;

  // Asks for an interrupt when `ahead` further chains have been used and one more. True when that has happened already:
  // no interrupt may come then, and the caller must look before it waits.
  [[nodiscard]] bool arm(uint16_t ahead = 0);

  // Says that no interrupt is wanted. Some may come all the same.
  void disarm();

  uint16_t outstandingChains() const { return publishedChains; }
  uint16_t outstandingDescriptors() const { return queueSize - freeCount; }

 private:
  // What the driver knows of a descriptor, in memory the device cannot reach.
  struct Shadow {
    uint16_t next;      // in the free list or in the chain
    uint16_t last;      // of a head: the chain's last descriptor
    uint16_t count;     // of a head: descriptors in the chain; 0 when no chain begins here
    uint16_t position;  // of a head: its avail index
    uint32_t writable;  // of a head: bytes that the device may write
  };

  uint16_t queueSize;
  bool eventIdx;
  DmaSpan memory;
  kj::Array<Shadow> shadow;
  uint16_t freeHead = 0;
  uint16_t freeCount;
  uint16_t availNext = 0;       // where the next offer goes
  uint16_t availPublished = 0;  // what the device has been told
  uint16_t usedNext = 0;        // the next used element to read
  uint16_t publishedChains = 0;
  kj::Maybe<DeviceFault> broken;

  virtio::VirtqDesc* table;
  virtio::VirtqAvail* avail;
  uint16_t* availRing;
  uint16_t* usedEvent;
  virtio::VirtqUsed* used;
  virtio::VirtqUsedElem* usedRing;
  uint16_t* availEvent;

  kj::Maybe<DeviceFault> check(uint32_t id, uint32_t written) const;
  bool isPublished(const Shadow& head) const;
  void release(uint16_t head);
};

}  // namespace nexus
