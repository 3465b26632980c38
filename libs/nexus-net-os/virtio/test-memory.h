#pragma once
// Page-aligned memory for tests of the rings, as a DmaSpan that a fake device can reach. Owned by a test.
#include <kj/array.h>

#include <cstring>

#include "libs/nexus-net-os/virtio/virtq.h"

namespace nexus {

class TestMemory {
 public:
  // Filled with 0xa5, so that nothing works only because memory happens to be zero.
  TestMemory(size_t size, uint64_t iova) : raw(kj::heapArray<kj::byte>(size + Virtq::PAGE)), size(size), iova(iova) {
    memset(raw.begin(), 0xa5, raw.size());
  }

  DmaSpan span() {
    auto misaligned = reinterpret_cast<uintptr_t>(raw.begin()) % Virtq::PAGE;
    size_t start = misaligned == 0 ? 0 : Virtq::PAGE - misaligned;
    return {raw.slice(start, start + size), iova};
  }

 private:
  kj::Array<kj::byte> raw;
  size_t size;
  uint64_t iova;
};

}  // namespace nexus
