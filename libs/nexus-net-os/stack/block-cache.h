#pragma once
// lwIP's heap: malloc, with the blocks of full-size frames kept for the next frame. Those are larger than what malloc
// keeps by the thread, and at wire speed each would split and join the heap anew. Owned by LwipStack; knows nothing of
// limits.
//
// In builds with AddressSanitizer nothing is kept, so that every use after a free is seen.
#include <cstddef>

namespace nexus {

class BlockCache final {
 public:
  // A request of (SMALL, BLOCK] bytes gets a block of BLOCK bytes; up to KEPT of those wait for the next one.
  static constexpr size_t SMALL = 1024, BLOCK = 2048;
  static constexpr size_t KEPT = 512;

#if __has_feature(address_sanitizer)
  static constexpr bool KEEPS = false;
#else
  static constexpr bool KEEPS = true;
#endif

  BlockCache() = default;
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // Null without memory.
  void* allocate(size_t size);

  // What allocate() gave.
  void release(void* memory);

  // Bytes that a block takes, at least what was asked for.
  static size_t sizeOf(void* memory);

  size_t kept() const { return count; }

 private:
  void* blocks[KEPT];
  size_t count = 0;
};

}  // namespace nexus
