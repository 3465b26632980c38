#pragma once
// The least driver that can attack: a virtio network device with small queues whose descriptors may name any address at
// all. No merged buffers, no EVENT_IDX. Owned by the probe; never part of the real driver, whose bounds checks would
// stand in the way. Works on any VirtioTransport. Knows nothing of VFIO or of what is attacked.
#include <kj/timer.h>
#include <kj/vector.h>

#include "libs/nexus-net-os/net/mac-address.h"
#include "libs/nexus-net-os/virtio/virtio-transport.h"
#include "libs/nexus-net-os/virtio/virtq.h"

namespace nexus {

class ProbeNic {
 public:
  static constexpr uint16_t QUEUE_SIZE = 64;  // a queue then fits a page

  // Single pages, each under the address at which the device sees it.
  struct Pages {
    DmaSpan receiveQueue;
    DmaSpan transmitQueue;
    DmaSpan transmitData;                     // headers and frames
    kj::ArrayPtr<const DmaSpan> receiveData;  // one buffer each
  };

  // Resets and starts the device. Without `confined` it is used although it offers no ACCESS_PLATFORM.
  static kj::Promise<kj::Own<ProbeNic>> start(VirtioTransport& transport, InterruptSource& receiveInterrupt,
                                              const Pages& pages, kj::Timer& timer, bool confined);

  ProbeNic(VirtioTransport& transport, InterruptSource& receiveInterrupt, const Pages& pages, kj::Timer& timer);
  ~ProbeNic() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ProbeNic);

  MacAddress macAddress() const { return mac; }

  // Gives the device all receive buffers.
  void lendBuffers();

  // Gives the device an address that is none of ours to receive into.
  void lendForeign(uint64_t iova, uint32_t length);

  // Sends a frame of up to 112 bytes.
  void send(kj::ArrayPtr<const kj::byte> frame);

  // Sends what lies at an address that is none of ours.
  void sendForeign(uint64_t iova, uint32_t length);

  struct Received {
    bool foreign;  // the device says it used the foreign address; the frame, if any, is there
    kj::Array<kj::byte> frame;
  };

  // The next thing the device received; null when there was none before the deadline. DISCONNECTED when it breaks the
  // protocol.
  kj::Promise<kj::Maybe<Received>> receive(kj::TimePoint deadline);

 private:
  VirtioTransport& transport;
  InterruptSource& receiveInterrupt;
  Pages pages;
  kj::Timer& timer;
  MacAddress mac;
  Virtq receiveQueue, transmitQueue;
  kj::Array<kj::Maybe<const DmaSpan&>> lent;  // by head; null for the foreign address
  size_t transmitted = 0;

  void transmit(Virtq::Element header, Virtq::Element data);
  kj::Maybe<Received> take();
  DmaSpan nextSlot();
};

}  // namespace nexus
