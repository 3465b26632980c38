#pragma once
// How a virtio driver sets its device up, whatever carries the registers: status, features, queues, notification,
// configuration, interrupts. Implemented by pci-transport and, in tests, by fake-transport; owned by the driver. The
// device behind it is not trusted: every value that comes back may be a lie, and nothing here interprets one.
#include <kj/async.h>
#include <kj/common.h>

#include <cstdint>

#include "libs/nexus-net-os/virtio/virtio-types.h"

namespace nexus {

class VirtioTransport {
 public:
  virtual ~VirtioTransport() noexcept(false) = default;

  // Device status field (2.1). Writing zero begins a reset, which is over when zero is read back.
  virtual uint8_t readStatus() = 0;
  virtual void writeStatus(uint8_t status) = 0;

  virtual uint64_t deviceFeatures() = 0;
  virtual void acceptFeatures(uint64_t features) = 0;

  // The largest size of a queue; 0 when it does not exist.
  virtual uint16_t maxQueueSize(uint16_t queue) = 0;

  // Sets a queue up and enables it. False when the device cannot take the interrupt vector.
  [[nodiscard]] virtual bool enableQueue(uint16_t queue, uint16_t size, const virtio::VirtqAddresses& at,
                                         uint16_t vector) = 0;

  // The vector of configuration changes. False when the device cannot take it.
  [[nodiscard]] virtual bool setConfigVector(uint16_t vector) = 0;

  // Tells the device that a queue has new available buffers.
  virtual void notify(uint16_t queue) = 0;

  // Device-specific configuration. Several reads are consistent if configGeneration() is the same before and after
  // (2.4.1).
  virtual void readConfig(uint32_t offset, kj::ArrayPtr<kj::byte> out) = 0;
  virtual uint8_t configGeneration() = 0;
};

// One interrupt vector. A flag, not a count: whoever waits looks at the rings to see what there is.
class InterruptSource {
 public:
  virtual ~InterruptSource() noexcept(false) = default;

  // Resolves when the vector has fired since the last take(); at once if so already. One waiter. Cancelling loses
  // nothing.
  virtual kj::Promise<void> whenFired() = 0;

  // Whether it has fired since the last call.
  virtual bool take() = 0;
};

struct VirtioInterrupts {
  kj::Own<InterruptSource> config;
  kj::Own<InterruptSource> receive;
  kj::Own<InterruptSource> transmit;
};

}  // namespace nexus
