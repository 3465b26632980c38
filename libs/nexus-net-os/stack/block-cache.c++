#include "libs/nexus-net-os/stack/block-cache.h"

#include <malloc.h>

#include <cstdlib>

namespace nexus {

namespace {

// Large enough for any request that gets a block, and hardly larger.
bool isBlock(size_t usable) {
  return usable >= BlockCache::BLOCK && usable < BlockCache::BLOCK + 16;
}

}  // namespace

BlockCache::~BlockCache() {
  while (count > 0) free(blocks[--count]);
}

size_t BlockCache::sizeOf(void* memory) {
  return malloc_usable_size(memory);
}

void* BlockCache::allocate(size_t size) {
  if (!KEEPS || size <= SMALL || size > BLOCK) return malloc(size);
  if (count > 0) return blocks[--count];
  return malloc(BLOCK);
}

void BlockCache::release(void* memory) {
  if (KEEPS && count < KEPT && isBlock(malloc_usable_size(memory))) {
    blocks[count++] = memory;
  } else {
    free(memory);
  }
}

}  // namespace nexus
