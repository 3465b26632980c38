#pragma once
// Where secrets lie: one region of memory that is locked (never written to a swap device), left out of core dumps and
// of forked children, with an inaccessible page on either side. Slots of 64 bytes, first free first; a secret that is
// larger, or that finds no slot, lies on the ordinary heap and is counted. Knows nothing of what a secret is.
//
// One of the few objects of the process as a whole, like the heap that it stands in for: the limit on locked memory is
// the process's. It is made at the first secret, before a sandbox takes the calls for that away. Any thread may use it.
#include <kj/array.h>

#include <cstdint>

namespace nexus {

constexpr size_t SECRET_SLOT_BYTES = 64;
constexpr size_t SECRET_SLOTS = 2048;  // 128 KiB: 64 peers with a session each use some 300

// Zeroed memory for one secret; wiped when it is dropped.
kj::Array<kj::byte> newSecretMemory(size_t size);

struct SecretMemoryState {
  bool locked;  // false: the system allows too little locked memory (RLIMIT_MEMLOCK); the secrets are where they were
  size_t slotsUsed;  // now
  uint64_t onHeap;   // secrets that found no slot, since the start
};
SecretMemoryState secretMemoryState();

}  // namespace nexus
