#pragma once
// What the broker asks of the kernel's VFIO interface (linux/vfio.h, type 1 IOMMU), one method per question, so that
// the order of the steps and the words of every failure can be tested without hardware. The production object is
// newSystemVfioKernel(). Holds no state.
#include <kj/array.h>
#include <kj/common.h>
#include <kj/io.h>
#include <kj/one-of.h>
#include <kj/string.h>

#include <cstdint>

namespace nexus {

// A range of addresses that the device may be given, both ends included.
struct IovaRange {
  uint64_t start;
  uint64_t end;
};

struct VfioRegion {
  uint64_t offset;  // in the device descriptor
  uint64_t length;  // 0: the region does not exist
  bool mappable;
};

class VfioKernel {
 public:
  // An error number of the kernel, 0 for success: some of them the broker explains.
  using Errno = int;

  static constexpr kj::uint CONFIG_REGION = 7;  // VFIO_PCI_CONFIG_REGION_INDEX; BARs are 0 to 5

  virtual ~VfioKernel() noexcept(false) = default;

  // The name of the device's IOMMU group in sysfs; null when it has none.
  virtual kj::Maybe<kj::String> groupOf(kj::StringPtr pciAddress) = 0;

  // The other devices of a group, for messages.
  virtual kj::Array<kj::String> groupMembers(kj::StringPtr group) = 0;

  virtual kj::OneOf<kj::AutoCloseFd, Errno> openContainer() = 0;
  virtual kj::OneOf<kj::AutoCloseFd, Errno> openGroup(kj::StringPtr group) = 0;

  // True when the container speaks API version 0 and has the type1v2 IOMMU.
  virtual bool supportsType1v2(int container) = 0;
  virtual bool groupViable(int group) = 0;
  virtual Errno setContainer(int group, int container) = 0;
  virtual Errno setIommu(int container) = 0;
  virtual kj::OneOf<kj::AutoCloseFd, Errno> openDevice(int group, kj::StringPtr pciAddress) = 0;

  // Addresses that may be mapped; the window of message-signalled interrupts is not among them.
  virtual kj::Array<IovaRange> iovaRanges(int container) = 0;
  virtual Errno mapDma(int container, kj::ArrayPtr<kj::byte> memory, uint64_t iova) = 0;

  virtual VfioRegion region(int device, kj::uint index) = 0;
  virtual void readAt(int device, uint64_t offset, kj::ArrayPtr<kj::byte> out) = 0;
  virtual void writeAt(int device, uint64_t offset, kj::ArrayPtr<const kj::byte> in) = 0;

  // How many MSI-X vectors the device has.
  virtual kj::uint msixVectors(int device) = 0;

  // Connects the first vectors to eventfds, all in one call.
  virtual Errno setMsixEvents(int device, kj::ArrayPtr<const int> events) = 0;
};

kj::Own<VfioKernel> newSystemVfioKernel();

}  // namespace nexus
