#pragma once
// A virtio network device as a FrameDevice: one receive and one transmit queue over a VirtioTransport, frames in a
// buffer memory that the caller divides. Owned by the driver daemon. Knows nothing of PCI, VFIO, file descriptors or
// who consumes the frames. Spec: virtio 1.1, 5.1.
//
//   ring memory (private)                       buffer memory (may be shared with the consumer)
//   receive queue | transmit queue | headers    buffer 0 | buffer 1 | ...
//
// The 12-byte header of a received frame stands at the start of its first buffer; it is copied out once, before
// anything in it is believed, and the frame begins behind it (offset 12). Headers of transmitted frames lie in the ring
// memory, where only the driver writes. The device is not trusted: each way in which it can break the protocol is a
// DeviceFault, which is counted, stops the device, and makes poll() fail as DISCONNECTED. The owner then starts a new
// VirtioNet on the same memory, or ends.
//
// Not negotiated, and so not used: checksum and segmentation offload, control queue, multiqueue, indirect descriptors.
#include <kj/timer.h>

#include "libs/nexus-net-os/frame/frame-device.h"
#include "libs/nexus-net-os/virtio/virtio-counters.h"
#include "libs/nexus-net-os/virtio/virtio-transport.h"
#include "libs/nexus-net-os/virtio/virtq.h"

namespace nexus {

class VirtioNet final : public FrameDevice {
 public:
  static constexpr uint16_t QUEUE_SIZE = 256;     // at most; less when the device has less
  static constexpr uint16_t MIN_QUEUE_SIZE = 32;  // the longest frame takes 19 descriptors
  static constexpr kj::Duration WATCH_PERIOD =
      1 * kj::SECONDS;  // how soon a silent reset of the device is noticed, while waiting

  struct Memory {
    DmaSpan rings;    // ringMemorySize() bytes from the start of a page, reachable by driver and device only
    DmaSpan buffers;  // a whole number of buffers
    uint32_t bufferSize;
  };
  static size_t ringMemorySize();

  // Initialises the device (3.1.1) and resolves to the running driver; link up and ready for provide(). FAILED, in a
  // sentence that names the remedy, when the device cannot be used. `transport`, `timer`, the memory and `counters`
  // outlive the driver.
  static kj::Promise<kj::Own<VirtioNet>> start(VirtioTransport& transport, VirtioInterrupts interrupts,
                                               const Memory& memory, kj::Timer& timer, VirtioNetCounters& counters);

  class Private {
    Private() = default;
    friend class VirtioNet;
  };
  VirtioNet(Private, VirtioTransport& transport, VirtioInterrupts interrupts, const Memory& memory, kj::Timer& timer,
            VirtioNetCounters& counters, uint64_t features);

  // Resets the device, so that it lets go of the memory.
  ~VirtioNet() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(VirtioNet);

  // The features both sides agreed on.
  uint64_t features() const { return accepted; }

  // implements FrameDevice ----
  MacAddress macAddress() override { return mac; }
  LinkState linkState() override;
  bool provide(BufferId buffer) override;

  // No offload is negotiated: a `meta` that asks for one is FAILED.
  bool transmit(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) override;
  void flush() override;
  size_t poll(Events& events, size_t budget) override;

  // Completions of a few transmitted frames (less than a quarter of the queue) raise no interrupt; they are reported
  // when something else does.
  kj::Promise<void> whenReady() override;

 private:
  VirtioTransport& transport;
  VirtioInterrupts interrupts;
  Memory memory;
  kj::Timer& timer;
  VirtioNetCounters& counters;
  uint64_t accepted;
  uint32_t bufferCount;
  MacAddress mac;
  bool linkUp = true;
  bool linkChanged = false;
  bool transmitBlocked = false;
  kj::Maybe<DeviceFault> broken;

  Virtq receive, transmitQueue;
  DmaSpan headers;                      // NetHeader slots, one per transmit descriptor
  kj::Array<BufferId> receiveBuffers;   // by head: which buffer was lent
  kj::Array<BufferId> transmitBuffers;  // by head: the first buffer of the frame
  kj::Array<bool> provided;             // by buffer: lent for receiving

  static kj::Promise<kj::Own<VirtioNet>> tryStart(VirtioTransport& transport, VirtioInterrupts interrupts,
                                                  Memory memory, kj::Timer& timer, VirtioNetCounters& counters);
  void bringUp();
  void readMac();
  kj::Maybe<bool> readLinkUp();
  bool readConfig(uint32_t offset, kj::ArrayPtr<kj::byte> out);

  size_t reclaim(Events& events, size_t budget);
  bool receiveOne(Events& events);
  void recycle(kj::ArrayPtr<const FrameSegment> segments);
  void checkStatus();
  bool somethingToReport();
  bool armInterrupts();
  void fail(DeviceFault fault);
  void requireWorking();
};

}  // namespace nexus
