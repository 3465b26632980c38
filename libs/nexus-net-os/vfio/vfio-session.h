#pragma once
// A PCI device taken through VFIO, step by step, with a sentence for every step that can fail: what is wrong and what
// to do about it. Used by the broker, which then hands the device on, and by the DMA probe, which drives it itself.
// Root's business.
#include <kj/function.h>

#include "libs/nexus-net-os/vfio/vfio-kernel.h"
#include "libs/nexus-net-os/virtio/pci-transport.h"

namespace nexus {

// Closing all three resets the device, unless something of it is still mapped.
struct VfioSession {
  kj::String pciAddress;
  kj::AutoCloseFd container;
  kj::AutoCloseFd group;
  kj::AutoCloseFd device;
};

// Container, group, IOMMU, device. FAILED with the remedy; OVERLOADED while a former holder still has the group.
VfioSession openVfioSession(VfioKernel& kernel, kj::StringPtr pciAddress);

// Switches register access on, and reading and writing of memory with it if `busMaster`.
void enablePciAccess(VfioKernel& kernel, VfioSession& session, bool busMaster);

// Makes `memory` reachable for the device at `iova`. FAILED with the remedy.
void mapForDevice(VfioKernel& kernel, VfioSession& session, kj::ArrayPtr<kj::byte> memory, uint64_t iova);

// Connects the device's first vectors to eventfds and returns these, non-blocking.
kj::Array<kj::AutoCloseFd> armMsix(VfioKernel& kernel, VfioSession& session, kj::uint vectors);

// The device's registers through the descriptor, without any mapping. For PciTransport. Must not outlive kernel and
// session.
kj::Own<PciFunction> newVfioPciFunction(VfioKernel& kernel, VfioSession& session);

// FAILED unless a VirtioTransport offers VIRTIO_F_ACCESS_PLATFORM (feature bit 33): a device without it goes around the
// IOMMU, although group, container and mappings all look healthy.
void requireConfined(VirtioTransport& transport, kj::StringPtr pciAddress);

// Finds room for DMA areas among the usable addresses, lowest first, 2 MiB apart, never at address 0.
class IovaAllocator {
 public:
  explicit IovaAllocator(kj::Array<IovaRange> ranges) : ranges(kj::mv(ranges)) {}

  uint64_t take(uint64_t size);

 private:
  kj::Array<IovaRange> ranges;
  uint64_t next = 0x200000;
};

}  // namespace nexus
