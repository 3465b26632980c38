#include "libs/nexus-net-os/virtio/virtio-counters.h"

#include <kj/debug.h>

namespace nexus {

namespace {

constexpr kj::StringPtr PREFIX = "virtio."_kj;

// In the order of DeviceFault, as they are counted.
constexpr kj::StringPtr FAULT_COUNTERS[] = {
    "virtio.used-index-jump"_kj,
    "virtio.id-out-of-range"_kj,
    "virtio.id-not-outstanding"_kj,
    "virtio.length-too-large"_kj,
    "virtio.header-truncated"_kj,
    "virtio.buffer-count-zero"_kj,
    "virtio.buffer-count-beyond"_kj,
    "virtio.buffer-empty"_kj,
    "virtio.needs-reset"_kj,
    "virtio.reset-unasked"_kj,
    "virtio.gone"_kj,
    "virtio.config-unstable"_kj,
    "virtio.handshake"_kj,
};
static_assert(kj::size(FAULT_COUNTERS) == DEVICE_FAULTS);

}  // namespace

kj::StringPtr faultName(DeviceFault fault) {
  return FAULT_COUNTERS[static_cast<size_t>(fault)].slice(PREFIX.size());
}

void VirtioNetCounters::forEach(kj::FunctionParam<void(kj::StringPtr name, uint64_t value)> each) const {
  each("virtio.rxFrames", framesReceived);
  each("virtio.rxBytes", bytesReceived);
  each("virtio.txFrames", framesTransmitted);
  each("virtio.txBytes", bytesTransmitted);
  each("virtio.runtsDropped", runtsDropped);
  each("virtio.txQueueFull", transmitFull);
  each("virtio.notifications", notifications);
  each("virtio.linkChanges", linkChanges);
  each("virtio.initialisations", initialisations);
  for (size_t i = 0; i < DEVICE_FAULTS; i++) each(FAULT_COUNTERS[i], faults[i]);
}

}  // namespace nexus
