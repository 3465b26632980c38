#include "daemons/dsoftbusd/memory/counted-heap.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> held{0};

// In front of each block: its size. As large as the strictest alignment that plain new promises.
constexpr size_t HEAD = alignof(std::max_align_t);
static_assert(HEAD >= sizeof(size_t));

void* take(size_t size) {
  auto block = static_cast<char*>(std::malloc(HEAD + size));
  if (block == nullptr) std::abort();
  *reinterpret_cast<size_t*>(block) = size;
  held += size;
  return block + HEAD;
}

void giveBack(void* pointer) {
  if (pointer == nullptr) return;
  auto block = static_cast<char*>(pointer) - HEAD;
  held -= *reinterpret_cast<size_t*>(block);
  std::free(block);
}

}  // namespace

void* operator new(size_t size) {
  return take(size);
}
void* operator new[](size_t size) {
  return take(size);
}
void operator delete(void* pointer) noexcept {
  giveBack(pointer);
}
void operator delete[](void* pointer) noexcept {
  giveBack(pointer);
}
void operator delete(void* pointer, size_t) noexcept {
  giveBack(pointer);
}
void operator delete[](void* pointer, size_t) noexcept {
  giveBack(pointer);
}

namespace nexus {

size_t countedHeapBytes() {
  return held;
}

}  // namespace nexus
