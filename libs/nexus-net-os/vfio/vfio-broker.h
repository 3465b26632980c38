#pragma once
// The root side of a VFIO network device: opens it, refuses it unless the IOMMU really stands in its way, maps its two
// memories for DMA, arms its interrupts, and serves all that as one idl::Device to one holder. Used by initd; the
// holder (virtionetd) needs no privilege and no ioctl. One VfioBroker is one life of the driver: when the holder is
// gone, drop it and open a new one.
//
// Dies with nothing left behind: each descriptor is closed here as soon as the holder has taken it, so that the kernel
// resets the device when the last mapping of the holder goes. Knows nothing of virtqueues or frames.
#include <kj/string.h>

#include "idl/device.capnp.h"
#include "libs/nexus-net-os/vfio/vfio-kernel.h"

namespace nexus {

struct VfioSizes {
  uint64_t ringBytes = 64 * 1024;  // virtqueues and transmit headers
  uint64_t bufferBytes =
      1024 * uint64_t{2048};  // frame buffers: Virtionetd.receiveBuffers + transmitBuffers, 2048 bytes each
};

class VfioBroker {
 public:
  // Opens the device at a PCI address ("0000:00:01.0") that is already bound (pci-binding.h). Every failure is one
  // sentence that says what to do: group not viable, no interrupt remapping, no ACCESS_PLATFORM, memory limit.
  // OVERLOADED when the former holder still has the group open: try again shortly.
  static kj::Own<VfioBroker> open(VfioKernel& kernel, kj::StringPtr pciAddress, const VfioSizes& sizes = {});

  virtual ~VfioBroker() noexcept(false) = default;

  // The capability for the one holder; FAILED when called twice. Each descriptor behind it can be taken once.
  virtual idl::Device::Client device() = 0;

  virtual kj::StringPtr pciAddress() = 0;
};

}  // namespace nexus
