#pragma once
// The frame buffers: one memfd divided into numbered buffers of 2048 bytes, the receive buffers first. Gives the bytes
// of a segment, after checking that it lies inside its buffer. Owned by one side of a link and its mapping shared with
// the other. Knows nothing of who holds which buffer: that is DeviceLoans on the driver's side and RingStackEnd on the
// stack's.
#include "libs/nexus-net-os/frame/frame-device.h"
#include "libs/nexus-net-os/frame/ring-layout.h"
#include "libs/nexus-net-os/frame/shared-memory.h"

namespace nexus {

// How many buffers there are. Ids 0 .. receive-1 are for receiving, receive .. receive+transmit-1 for sending.
struct BufferGeometry {
  uint32_t receive = 0;
  uint32_t transmit = 0;

  bool operator==(const BufferGeometry&) const = default;

  uint32_t total() const { return receive + transmit; }
  size_t bytes() const { return static_cast<size_t>(total()) * ring::BUFFER_SIZE; }
  bool isReceive(BufferId id) const { return id < receive; }
  bool isTransmit(BufferId id) const { return id >= receive && id < total(); }

  // Entries of a ring that can never overflow: the next power of two.
  uint32_t ringEntries() const;

  // Both counts a power of two from MIN_BUFFERS to MAX_BUFFERS.
  bool isValid() const;
};

// True when the segment lies inside one buffer of the pool and is not empty.
inline bool isInside(const FrameSegment& segment, const BufferGeometry& geometry) {
  return segment.buffer < geometry.total() && segment.length > 0 && segment.length <= ring::BUFFER_SIZE &&
         segment.offset <= ring::BUFFER_SIZE - segment.length;
}

class BufferPool {
 public:
  // A pool in new memory. FAILED when the geometry is not valid.
  static BufferPool create(const BufferGeometry& geometry);

  // A pool in memory that exists: it must be at least as long as the geometry says, which must be valid. FAILED
  // otherwise.
  BufferPool(SharedMemory memory, const BufferGeometry& geometry);

  const BufferGeometry& geometry() const { return shape; }
  SharedMemory& memory() { return shared; }
  const SharedMemory& memory() const { return shared; }

  // The whole of one buffer.
  kj::ArrayPtr<kj::byte> buffer(BufferId id) const;

  // The bytes of one segment. FAILED when it reaches outside its buffer.
  kj::ArrayPtr<kj::byte> bytes(const FrameSegment& segment) const;

 private:
  SharedMemory shared;
  BufferGeometry shape;
};

}  // namespace nexus
