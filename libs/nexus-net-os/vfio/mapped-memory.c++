#include "libs/nexus-net-os/vfio/mapped-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <sys/mman.h>
#include <unistd.h>

namespace nexus {

namespace {

class Unmapper final : public kj::ArrayDisposer {
 protected:
  void disposeImpl(void* firstElement, size_t, size_t, size_t capacity, void (*)(void*)) const override {
    munmap(firstElement, capacity);
  }
};

constexpr Unmapper UNMAPPER;

}  // namespace

kj::Array<kj::byte> mapShared(int fd, uint64_t offset, uint64_t length) {
  void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  if (address == MAP_FAILED) KJ_FAIL_SYSCALL("mmap", errno, offset, length);
  return kj::Array<kj::byte>(reinterpret_cast<kj::byte*>(address), length, UNMAPPER);
}

kj::AutoCloseFd newSharedMemory(kj::StringPtr name, uint64_t size) {
  int raw;
  KJ_SYSCALL(raw = memfd_create(name.cStr(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  kj::AutoCloseFd fd(raw);
  KJ_SYSCALL(ftruncate(fd, size));
  KJ_SYSCALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  return fd;
}

}  // namespace nexus
