#include "libs/nexus-net-os/stack/block-cache.h"

#include <doctest/doctest.h>
#include <kj/vector.h>

#include <algorithm>
#include <cstring>

namespace nexus {
namespace {

TEST_CASE("memory is at least as large as asked for, and can be written") {
  BlockCache cache;
  for (size_t size : {size_t(1), BlockCache::SMALL, BlockCache::SMALL + 1, size_t(1560), BlockCache::BLOCK,
                      BlockCache::BLOCK + 1, size_t(70000)}) {
    void* memory = cache.allocate(size);
    REQUIRE(memory != nullptr);
    CHECK(BlockCache::sizeOf(memory) >= size);
    memset(memory, 0x5a, size);
    cache.release(memory);
  }
}

TEST_CASE("the block of a frame serves the next frame; what is smaller or larger goes back to malloc") {
  BlockCache cache;
  for (size_t size : {size_t(1), BlockCache::SMALL, 2 * BlockCache::BLOCK}) {
    cache.release(cache.allocate(size));
    CHECK(cache.kept() == 0);
  }
  void* first = cache.allocate(1560);
  cache.release(first);
  CHECK(cache.kept() == (BlockCache::KEEPS ? 1 : 0));
  void* second = cache.allocate(BlockCache::BLOCK);  // another size, the same block
  if (BlockCache::KEEPS) CHECK(second == first);
  CHECK(BlockCache::sizeOf(second) >= BlockCache::BLOCK);
  CHECK(cache.kept() == 0);
  cache.release(second);
}

TEST_CASE("no more blocks are kept than the bound, and all serve again") {
  BlockCache cache;
  kj::Vector<void*> held;
  for (size_t i = 0; i < BlockCache::KEPT + 10; i++) held.add(cache.allocate(1500));
  for (void* memory : held) cache.release(memory);
  CHECK(cache.kept() == (BlockCache::KEEPS ? BlockCache::KEPT : 0));
  held.clear();
  for (size_t i = 0; i < BlockCache::KEPT + 10; i++) held.add(cache.allocate(1500));
  CHECK(cache.kept() == 0);
  std::sort(held.begin(), held.end());
  for (size_t i = 1; i < held.size(); i++) CHECK(held[i - 1] != held[i]);  // nobody shares one
  for (void* memory : held) cache.release(memory);
}

}  // namespace
}  // namespace nexus
