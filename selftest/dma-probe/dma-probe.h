#pragma once
// The probe as root runs it: a canary process, the device through VFIO, both attacks, one verdict. Owned by main. Knows
// nothing of markers.
#include <kj/string.h>

namespace nexus {

struct DmaProbeOptions {
  kj::StringPtr pciAddress;      // empty: the first virtio network device
  bool allowUnconfined = false;  // go on with a device that does not offer ACCESS_PLATFORM
};

// Null when memory is isolated; else why not, or why that could not be shown. Takes at most about ten seconds.
kj::Maybe<kj::String> runDmaProbe(const DmaProbeOptions& options);

}  // namespace nexus
