#pragma once
// Pages of this process whose physical address is known and stays the same: what a DMA attack would aim at. Needs root
// (pagemap shows frame numbers to CAP_SYS_ADMIN only). Knows nothing of devices.
#include <kj/array.h>

#include <cstdint>

namespace nexus {

class PhysicalPage {
 public:
  static constexpr size_t SIZE = 4096;  // bytes

  // A fresh, zeroed, locked page. FAILED without the privilege.
  PhysicalPage();
  KJ_DISALLOW_COPY(PhysicalPage);
  PhysicalPage(PhysicalPage&&) = default;

  kj::ArrayPtr<kj::byte> bytes() { return page; }

  // Where the page lies in the machine's memory. FAILED when the kernel has moved it since it was made.
  uint64_t address();

 private:
  kj::Array<kj::byte> page;
  uint64_t first;

  uint64_t lookUp();
};

}  // namespace nexus
