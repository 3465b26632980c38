#pragma once
// A VirtioNet on a FakeTransport and virtual time, with an owner that keeps the books as the Nic server does. For the
// tests of virtio-net.
#include <kj/debug.h>

#include <map>
#include <set>

#include "libs/nexus-net-os/testing/sim-clock.h"
#include "libs/nexus-net-os/virtio/fake-transport.h"
#include "libs/nexus-net-os/virtio/test-memory.h"
#include "libs/nexus-net-os/virtio/virtio-net.h"

namespace nexus {

class VirtioNetFixture final : public FrameDevice::Events {
 public:
  static constexpr uint32_t BUFFER_SIZE = 2048;
  static constexpr uint32_t BUFFERS = 512;  // the upper half is for transmission

  SimClock clock;
  TestMemory rings{VirtioNet::ringMemorySize(), 0x100000};
  TestMemory buffers{size_t{BUFFERS} * BUFFER_SIZE, 0x40000000};
  DmaMap dma;
  FakeTransport device{dma};
  VirtioNetCounters counters;
  kj::Maybe<kj::Own<VirtioNet>> driver;

  VirtioNetFixture() {
    dma.map(rings.span());
    dma.map(buffers.span());
  }

  VirtioNet& start() {
    driver = nullptr;  // the former one lets go first
    VirtioNet::Memory memory{rings.span(), buffers.span(), BUFFER_SIZE};
    driver = clock.run(VirtioNet::start(device, device.interrupts(), memory, clock.timer, counters));
    inDevice.clear();
    return net();
  }

  VirtioNet& net() { return *KJ_ASSERT_NONNULL(driver); }

  // Lends the receive buffers 0 .. count-1.
  void provide(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) lend(i);
    net().flush();
  }

  bool lend(BufferId buffer) {
    if (!net().provide(buffer)) return false;
    KJ_ASSERT(inDevice.insert(buffer).second);
    return true;
  }

  kj::ArrayPtr<kj::byte> bufferBytes(BufferId id) {
    return buffers.span().bytes().slice(size_t{id} * BUFFER_SIZE, size_t{id + 1} * BUFFER_SIZE);
  }

  bool send(BufferId buffer, kj::ArrayPtr<const kj::byte> bytes) {
    memcpy(bufferBytes(buffer).begin(), bytes.begin(), bytes.size());
    FrameSegment segment{buffer, 0, static_cast<uint32_t>(bytes.size())};
    bool taken = net().transmit(kj::arrayPtr(&segment, 1), {});
    net().flush();
    return taken;
  }

  size_t poll(size_t budget = 64) { return net().poll(*this, budget); }

  // What came up, in order.
  kj::Vector<kj::Array<kj::byte>> frames;
  kj::Vector<BufferId> done;
  std::set<BufferId> inDevice;  // receive buffers lent and not yet back

  void received(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) override {
    KJ_ASSERT(meta == FrameMeta{});
    kj::Vector<kj::byte> bytes;
    for (auto& segment : segments) {
      KJ_ASSERT(inDevice.erase(segment.buffer) == 1, "a buffer came back that was not lent", segment.buffer);
      KJ_ASSERT(segment.length <= BUFFER_SIZE && segment.offset <= BUFFER_SIZE - segment.length);
      bytes.addAll(bufferBytes(segment.buffer).slice(segment.offset, segment.offset + segment.length));
    }
    frames.add(bytes.releaseAsArray());
  }

  void transmitted(BufferId first) override { done.add(first); }
};

inline kj::Array<kj::byte> testFrame(size_t size, kj::byte seed = 1) {
  auto frame = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) frame[i] = static_cast<kj::byte>(seed + i * 7);
  return frame;
}

}  // namespace nexus
