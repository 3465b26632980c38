#pragma once
// The first half of a virtio driver's initialisation, the same for every kind of device: reset, status, feature
// negotiation (virtio 1.1, 3.1.1 steps 1 to 6). Knows nothing of queues.
#include <kj/timer.h>

#include "libs/nexus-net-os/virtio/virtio-transport.h"

namespace nexus {

// How long a device may take to reset, and how often it is asked.
inline constexpr kj::Duration RESET_DEADLINE = 1 * kj::SECONDS;
inline constexpr kj::Duration RESET_PERIOD = 1 * kj::MILLISECONDS;

// Resolves to the features that both sides have: `required` and as much of `wanted` as is offered. FAILED, naming what
// is missing, when the device does not reset, does not offer what is required, or refuses what it offered.
kj::Promise<uint64_t> negotiateFeatures(VirtioTransport& transport, kj::Timer& timer, uint64_t required,
                                        uint64_t wanted);

// Names of feature bits, for messages: "VERSION_1, ACCESS_PLATFORM".
kj::String featureNames(uint64_t features);

}  // namespace nexus
