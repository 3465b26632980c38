#include "selftest/dma-probe/physical-page.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace nexus {

namespace {

// Documentation/admin-guide/mm/pagemap.rst: one u64 a page.
constexpr uint64_t PAGEMAP_PRESENT = uint64_t{1} << 63;
constexpr uint64_t PAGEMAP_FRAME = (uint64_t{1} << 55) - 1;

class Unmapper final : public kj::ArrayDisposer {
 protected:
  void disposeImpl(void* firstElement, size_t, size_t, size_t capacity, void (*)(void*)) const override {
    munmap(firstElement, capacity);
  }
};

constexpr Unmapper UNMAPPER;

kj::Array<kj::byte> newLockedPage() {
  // Shared, so that a fork copies nothing behind our back.
  void* at =
      mmap(nullptr, PhysicalPage::SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (at == MAP_FAILED) KJ_FAIL_SYSCALL("mmap", errno);
  auto page = kj::Array<kj::byte>(reinterpret_cast<kj::byte*>(at), PhysicalPage::SIZE, UNMAPPER);
  KJ_SYSCALL(mlock(at, PhysicalPage::SIZE));
  memset(at, 0, PhysicalPage::SIZE);
  return page;
}

}  // namespace

PhysicalPage::PhysicalPage() : page(newLockedPage()), first(lookUp()) {}

uint64_t PhysicalPage::address() {
  KJ_REQUIRE(lookUp() == first, "the kernel moved a page during the probe");
  return first;
}

uint64_t PhysicalPage::lookUp() {
  int raw;
  KJ_SYSCALL(raw = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  kj::AutoCloseFd fd(raw);
  uint64_t entry = 0;
  off_t at = reinterpret_cast<uint64_t>(page.begin()) / SIZE * sizeof(entry);
  ssize_t n;
  KJ_SYSCALL(n = pread(fd, &entry, sizeof(entry), at));
  KJ_REQUIRE(n == sizeof(entry) && (entry & PAGEMAP_PRESENT) && (entry & PAGEMAP_FRAME),
             "the kernel does not say where a page lies: run as root");
  return (entry & PAGEMAP_FRAME) * SIZE;
}

}  // namespace nexus
