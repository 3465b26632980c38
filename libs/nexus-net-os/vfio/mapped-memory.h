#pragma once
// Memory behind a descriptor as an array that unmaps itself: device registers, DMA memory. Owned by whoever maps. Knows
// nothing of what the memory means.
#include <kj/array.h>
#include <kj/io.h>
#include <kj/string.h>

#include <cstdint>

namespace nexus {

// Maps `length` bytes at `offset` of `fd`, readable and writable, shared. The mapping outlives the descriptor. FAILED
// with the kernel's reason.
kj::Array<kj::byte> mapShared(int fd, uint64_t offset, uint64_t length);

// Fresh memory of `size` bytes (a multiple of the page size) behind a descriptor that can be sent: sealed against
// shrinking and growing, so that no holder can take pages away from under another; further seals may follow.
kj::AutoCloseFd newSharedMemory(kj::StringPtr name, uint64_t size);

}  // namespace nexus
