#include "daemons/dsoftbusd/crypto/secret-pool.h"

#include <kj/debug.h>
#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mutex>

namespace nexus {

namespace {

constexpr size_t REGION_BYTES = SECRET_SLOTS * SECRET_SLOT_BYTES;

class SecretPool final : public kj::ArrayDisposer {
 public:
  SecretPool() {
    size_t page = size_t(sysconf(_SC_PAGESIZE));
    void* all = mmap(nullptr, REGION_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    KJ_REQUIRE(all != MAP_FAILED, "no memory for secrets");
    region = static_cast<kj::byte*>(all) + page;
    KJ_SYSCALL(mprotect(region, REGION_BYTES, PROT_READ | PROT_WRITE));
    (void)madvise(region, REGION_BYTES, MADV_DONTDUMP);
    (void)madvise(region, REGION_BYTES, MADV_DONTFORK);
    state.locked = mlock(region, REGION_BYTES) == 0;
    for (size_t i = SECRET_SLOTS; i > 0; i--) free[freeCount++] = uint16_t(i - 1);
  }

  kj::Array<kj::byte> allocate(size_t size) {
    std::lock_guard<std::mutex> lock(mutex);
    if (size > SECRET_SLOT_BYTES || freeCount == 0) {
      state.onHeap++;
      auto memory = new kj::byte[size]();
      return kj::Array<kj::byte>(memory, size, *this);
    }
    state.slotsUsed++;
    auto slot = region + free[--freeCount] * SECRET_SLOT_BYTES;
    return kj::Array<kj::byte>(slot, size, *this);
  }

  SecretMemoryState snapshot() {
    std::lock_guard<std::mutex> lock(mutex);
    return state;
  }

 protected:
  void disposeImpl(void* first, size_t, size_t size, size_t, void (*)(void*)) const override {
    auto memory = static_cast<kj::byte*>(first);
    sodium_memzero(memory, size);
    if (memory < region || memory >= region + REGION_BYTES) {
      delete[] memory;
      return;
    }
    std::lock_guard<std::mutex> lock(mutex);
    free[freeCount++] = uint16_t((memory - region) / SECRET_SLOT_BYTES);
    state.slotsUsed--;
  }

 private:
  kj::byte* region = nullptr;
  mutable std::mutex mutex;
  mutable uint16_t free[SECRET_SLOTS];
  mutable size_t freeCount = 0;
  mutable SecretMemoryState state{};
};

// Never destroyed: whatever still holds a secret at the end of the process gives it back.
SecretPool& pool() {
  static SecretPool& instance = *new SecretPool();
  return instance;
}

}  // namespace

kj::Array<kj::byte> newSecretMemory(size_t size) {
  if (size == 0) return nullptr;
  return pool().allocate(size);
}

SecretMemoryState secretMemoryState() {
  return pool().snapshot();
}

}  // namespace nexus
