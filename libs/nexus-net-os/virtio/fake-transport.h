#pragma once
// A virtio network device in the process, for tests: honest by default, scripted, and able to break every rule. Owned
// by a test. Reaches memory only through its DmaMap. The driver under test sees an ordinary VirtioTransport and three
// interrupts.
#include <kj/timer.h>

#include "libs/nexus-net-os/net/mac-address.h"
#include "libs/nexus-net-os/virtio/virtio-transport.h"
#include "libs/nexus-net-os/virtio/virtq-device.h"

namespace nexus {

// One vector, fired by hand.
class FakeInterrupt {
 public:
  void fire();
  uint64_t fireCount() const { return fires; }
  kj::Own<InterruptSource> source();

 private:
  class Source;
  bool pending = false;
  uint64_t fires = 0;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiter;
};

class FakeTransport final : public VirtioTransport {
 public:
  // How the device presents itself. Changed by tests before or between handshakes.
  struct Traits {
    uint64_t features = virtio::feature::NET_MAC | virtio::feature::NET_STATUS | virtio::feature::NET_MRG_RXBUF |
                        virtio::feature::RING_EVENT_IDX | virtio::feature::VERSION_1 | virtio::feature::ACCESS_PLATFORM;
    uint16_t maxQueueSize[2] = {256, 256};
    MacAddress mac{{0x52, 0x54, 0x00, 0x12, 0x34, 0x0a}};
    bool refusesFeatures = false;  // FEATURES_OK does not stick
    kj::uint resetReads = 0;       // status reads until a reset is over
    bool configMoves = false;      // the generation is never the same twice
    bool gone = false;             // every register reads as ones
    uint16_t refusedVector = virtio::NO_VECTOR;
  };

  explicit FakeTransport(DmaMap& dma) : dma(dma) {}
  KJ_DISALLOW_COPY_AND_MOVE(FakeTransport);

  Traits traits;
  FakeInterrupt configInterrupt, receiveInterrupt, transmitInterrupt;
  VirtioInterrupts interrupts();

  // The honest device ----

  // Gives the driver a frame, in as many buffers as it takes. False when too few are available; the frame is then
  // dropped.
  bool deliver(kj::ArrayPtr<const kj::byte> frame);

  // Takes every frame that waits for transmission and completes it.
  kj::Vector<kj::Array<kj::byte>> collect();

  void setLink(bool up);

  // The other device ----

  // One side of the queues, to use without manners. FAILED before the driver has enabled them.
  VirtqDevice& queue(uint16_t index);
  void publishUsed(uint16_t index);  // and interrupts, as the driver wishes
  void needReset();
  void resetSilently() { status = 0; }

  // What the driver did ----
  uint8_t currentStatus() const { return status; }
  uint64_t acceptedFeatures() const { return driverFeatures; }
  uint16_t enabledSize(uint16_t index) const { return sizes[index]; }
  uint64_t notifyCount(uint16_t index) const { return notifies[index]; }
  uint64_t resetCount() const { return resets; }

  // implements VirtioTransport ----
  uint8_t readStatus() override;
  void writeStatus(uint8_t value) override;
  uint64_t deviceFeatures() override { return traits.features; }
  void acceptFeatures(uint64_t features) override { driverFeatures = features; }
  uint16_t maxQueueSize(uint16_t queue) override { return queue < 2 ? traits.maxQueueSize[queue] : 0; }
  bool enableQueue(uint16_t queue, uint16_t size, const virtio::VirtqAddresses& at, uint16_t vector) override;
  bool setConfigVector(uint16_t vector) override { return vector != traits.refusedVector; }
  void notify(uint16_t queue) override { notifies[queue]++; }
  void readConfig(uint32_t offset, kj::ArrayPtr<kj::byte> out) override;
  uint8_t configGeneration() override;

 private:
  DmaMap& dma;
  uint8_t status = 0;
  kj::uint resetReadsLeft = 0;
  uint8_t generation = 0;
  uint64_t driverFeatures = 0;
  bool linkUp = true;
  uint16_t sizes[2] = {0, 0};
  uint64_t notifies[2] = {0, 0};
  uint64_t resets = 0;
  kj::Maybe<kj::Own<VirtqDevice>> queues[2];
};

}  // namespace nexus
