#pragma once
// What a virtio-net driver counts: frames, and every way in which a device was caught breaking the protocol. Owned by
// whoever starts the driver, so that the counts survive a re-initialisation. A plain value.
#include <kj/common.h>
#include <kj/function.h>
#include <kj/string.h>

#include <array>
#include <cstdint>

namespace nexus {

// How a device failed. Each ends the driver's use of it: poll() is DISCONNECTED from then on.
enum class DeviceFault : uint8_t {
  USED_INDEX_JUMP,      // the used index moved by more than what was outstanding
  ID_OUT_OF_RANGE,      // a used element names a descriptor beyond the table
  ID_NOT_OUTSTANDING,   // a used element names a chain that was not lent, or was used already
  LENGTH_TOO_LARGE,     // more bytes reported written than the chain can hold
  HEADER_TRUNCATED,     // fewer bytes than the virtio-net header
  BUFFER_COUNT_ZERO,    // num_buffers 0
  BUFFER_COUNT_BEYOND,  // num_buffers beyond what the device has used, or beyond what a frame may have
  BUFFER_EMPTY,         // a further buffer of a merged frame holds nothing
  NEEDS_RESET,          // the device says so itself (DEVICE_NEEDS_RESET)
  RESET_UNASKED,        // DRIVER_OK vanished: somebody reset the device under the driver
  GONE,                 // registers read as all ones: the device was removed
  CONFIG_UNSTABLE,      // the configuration generation never stood still
  HANDSHAKE,            // features missing or refused, queues unusable, a reset that never ends
};
inline constexpr size_t DEVICE_FAULTS = 13;

kj::StringPtr faultName(DeviceFault fault);  // "used-index-jump": for status output

struct VirtioNetCounters {
  uint64_t framesReceived = 0;
  uint64_t bytesReceived = 0;
  uint64_t framesTransmitted = 0;  // completed by the device
  uint64_t bytesTransmitted = 0;   // given to the device
  uint64_t runtsDropped =
      0;  // received, shorter than an Ethernet header; their buffers went straight back to the device
  uint64_t transmitFull = 0;  // transmit() was refused for want of descriptors
  uint64_t notifications = 0;
  uint64_t linkChanges = 0;
  uint64_t initialisations = 0;  // handshakes that came to their end
  std::array<uint64_t, DEVICE_FAULTS> faults{};

  // Calls `each` with static names: "virtio.rxFrames", and "virtio.used-index-jump" for each fault.
  void forEach(kj::FunctionParam<void(kj::StringPtr name, uint64_t value)> each) const;

  uint64_t& operator[](DeviceFault fault) { return faults[static_cast<size_t>(fault)]; }
  uint64_t faultCount() const {
    uint64_t sum = 0;
    for (auto n : faults) sum += n;
    return sum;
  }
};

}  // namespace nexus
