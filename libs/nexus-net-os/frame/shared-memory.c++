#include "libs/nexus-net-os/frame/shared-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nexus {

namespace {

// SHRINK alone is not enough: PUNCH_HOLE and MADV_REMOVE detach pages silently. FUTURE_WRITE blocks both. SEAL keeps it
// so.
constexpr int FIXED_SIZE = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr int SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

class Unmap final : public kj::ArrayDisposer {
 public:
  void disposeImpl(void* first, size_t elementSize, size_t count, size_t capacity, void (*)(void*)) const override {
    munmap(first, count * elementSize);
  }
};
constexpr Unmap UNMAP;

kj::Array<kj::byte> mapWritable(int fd, size_t size) {
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) KJ_FAIL_SYSCALL("mmap(shared memory)", errno, size);
  return kj::Array<kj::byte>(static_cast<kj::byte*>(address), size, UNMAP);
}

}  // namespace

SharedMemory SharedMemory::create(kj::StringPtr name, size_t size) {
  int fd;
  KJ_SYSCALL(fd = memfd_create(name.cStr(), MFD_CLOEXEC | MFD_ALLOW_SEALING), name);
  kj::AutoCloseFd owned(fd);
  KJ_SYSCALL(ftruncate(fd, static_cast<off_t>(size)), name, size);
  KJ_SYSCALL(fcntl(fd, F_ADD_SEALS, FIXED_SIZE), name);
  return SharedMemory(kj::mv(owned), mapWritable(fd, size));
}

SharedMemory SharedMemory::map(kj::AutoCloseFd fd, size_t size) {
  size_t actual = memorySize(fd);
  KJ_REQUIRE(actual >= size, "the shared memory is shorter than it should be", actual, size);
  int raw = fd.get();
  return SharedMemory(kj::mv(fd), mapWritable(raw, size));
}

SharedMemory SharedMemory::adopt(kj::AutoCloseFd fd, kj::Array<kj::byte> mapping) {
  return SharedMemory(kj::mv(fd), kj::mv(mapping));
}

kj::AutoCloseFd SharedMemory::duplicateFd() const {
  int duplicate;
  KJ_SYSCALL(duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return kj::AutoCloseFd(duplicate);
}

bool SharedMemory::hasSeals(int seals) const {
  int present = fcntl(fd, F_GET_SEALS);  // -1 for anything that is not a memfd
  return present >= 0 && (present & seals) == seals;
}

void SharedMemory::seal() {
  if (hasSeals(SEALS)) return;
  KJ_SYSCALL(fcntl(fd, F_ADD_SEALS, SEALS), "the shared memory cannot be sealed");
}

void SharedMemory::requireSealed() const {
  KJ_REQUIRE(hasSeals(SEALS), "the other side did not seal the shared memory");
  size_t size = memorySize(fd);
  KJ_REQUIRE(size >= mapping.size(), "the other side shrank the shared memory before it was sealed", size);
}

size_t memorySize(int fd) {
  struct stat stats;
  KJ_SYSCALL(fstat(fd, &stats));
  KJ_REQUIRE(S_ISREG(stats.st_mode), "not shared memory");
  return static_cast<size_t>(stats.st_size);
}

}  // namespace nexus
