#include "libs/nexus-net-os/frame/buffer-pool.h"

#include <kj/debug.h>

#include <bit>

namespace nexus {

namespace {

bool isValidCount(uint32_t count) {
  return std::has_single_bit(count) && count >= ring::MIN_BUFFERS && count <= ring::MAX_BUFFERS;
}

void requireValid(const BufferGeometry& geometry) {
  KJ_REQUIRE(geometry.isValid(), "the numbers of buffers must each be a power of two from 16 to 4096", geometry.receive,
             geometry.transmit);
}

}  // namespace

uint32_t BufferGeometry::ringEntries() const {
  return std::bit_ceil(total());
}

bool BufferGeometry::isValid() const {
  return isValidCount(receive) && isValidCount(transmit);
}

BufferPool BufferPool::create(const BufferGeometry& geometry) {
  requireValid(geometry);
  return BufferPool(SharedMemory::create("frame-buffers", geometry.bytes()), geometry);
}

BufferPool::BufferPool(SharedMemory memory, const BufferGeometry& geometry) : shared(kj::mv(memory)), shape(geometry) {
  requireValid(geometry);
  KJ_REQUIRE(shared.bytes().size() >= geometry.bytes(), "the buffer memory is shorter than its geometry",
             shared.bytes().size(), geometry.bytes());
}

kj::ArrayPtr<kj::byte> BufferPool::buffer(BufferId id) const {
  return bytes({id, 0, ring::BUFFER_SIZE});
}

kj::ArrayPtr<kj::byte> BufferPool::bytes(const FrameSegment& segment) const {
  KJ_REQUIRE(isInside(segment, shape), "a segment reaches outside its buffer", segment.buffer, segment.offset,
             segment.length);
  size_t start = static_cast<size_t>(segment.buffer) * ring::BUFFER_SIZE + segment.offset;
  return shared.bytes().slice(start, start + segment.length);
}

}  // namespace nexus
