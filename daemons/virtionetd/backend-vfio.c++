#include "daemons/virtionetd/backend-vfio.h"

#include <kj/debug.h>
#include <unistd.h>

#include "libs/nexus-net-os/rpc/fd-cap.h"
#include "libs/nexus-net-os/vfio/eventfd-interrupt.h"
#include "libs/nexus-net-os/vfio/mapped-memory.h"
#include "libs/nexus-net-os/virtio/pci-transport.h"
#include "libs/nexus-net-os/virtio/virtio-net.h"

namespace nexus {

namespace {

using RegionKind = idl::DeviceMmio::Region::Kind;

// The device as the broker hands it over. Registers are mapped, so that they stay usable after the descriptor is
// closed.
class BrokeredFunction final : public PciFunction {
 public:
  BrokeredFunction(int device, capnp::List<idl::DeviceMmio::Region>::Reader regions)
      : device(device), regions(regions) {}

  void readConfig(uint16_t offset, kj::ArrayPtr<kj::byte> out) override {
    auto region = KJ_REQUIRE_NONNULL(find(RegionKind::CONFIG_SPACE, 0), "the broker gave no configuration space");
    KJ_REQUIRE(uint64_t{offset} + out.size() <= region.getLength(), "outside the configuration space", offset);
    ssize_t n;
    KJ_SYSCALL(n = pread(device, out.begin(), out.size(), region.getOffset() + offset));
    KJ_REQUIRE(n == static_cast<ssize_t>(out.size()), "the configuration space ends early", offset, n);
  }

  kj::Maybe<kj::Own<RegisterWindow>> bar(uint8_t index) override {
    KJ_IF_MAYBE (region, find(RegionKind::BAR, index)) {
      KJ_REQUIRE(region->getMappable(), "the device's registers cannot be mapped", index);
      return kj::Own<RegisterWindow>(
          kj::heap<MappedRegisters>(mapShared(device, region->getOffset(), region->getLength())));
    }
    return nullptr;
  }

 private:
  int device;
  capnp::List<idl::DeviceMmio::Region>::Reader regions;

  kj::Maybe<idl::DeviceMmio::Region::Reader> find(RegionKind kind, uint8_t index) {
    for (auto region : regions) {
      if (region.getKind() == kind && region.getIndex() == index) return region;
    }
    return nullptr;
  }
};

struct DmaArea {
  kj::AutoCloseFd fd;
  kj::Array<kj::byte> bytes;
  uint64_t iova;
};

kj::Promise<DmaArea> openArea(idl::DmaPool::DmaMemory::Reader memory, uint64_t needed) {
  // `memory` belongs to a response that the caller keeps: what is needed after the wait is copied before it.
  uint64_t size = memory.getSize(), iova = memory.getIova();
  KJ_REQUIRE(size >= needed, "the broker's DMA memory is smaller than the configuration needs", size, needed);
  auto fd = co_await takeFd(memory.getMemory());
  auto bytes = mapShared(fd, 0, size);
  co_return DmaArea{kj::mv(fd), kj::mv(bytes), iova};
}

kj::Promise<kj::Own<PciTransport>> openRegisters(idl::Device::Client device) {
  auto response = co_await device.mmioRequest().send().getMmio().openRequest().send();
  auto fd = co_await takeFd(response.getDevice());
  BrokeredFunction function(fd, response.getRegions());
  // The descriptor closes with this frame; the mappings in the transport remain.
  co_return kj::heap<PciTransport>(function);
}

kj::Promise<VirtioInterrupts> openInterrupts(idl::Device::Client device, kj::UnixEventPort& eventPort) {
  auto response = co_await device.interruptsRequest().send();
  auto list = response.getInterrupts();
  KJ_REQUIRE(list.size() >= 3, "the broker gave too few interrupts", list.size());
  kj::Own<InterruptSource> sources[3];
  for (kj::uint i = 0; i < 3; i++) {
    auto event = co_await list[i].eventFdRequest().send();
    sources[i] = kj::heap<EventFdInterrupt>(eventPort, co_await takeFd(event.getEvent()));
  }
  co_return VirtioInterrupts{kj::mv(sources[0]), kj::mv(sources[1]), kj::mv(sources[2])};
}

}  // namespace

kj::Promise<VfioBackend> newVfioBackend(idl::Device::Client device, VfioBufferCounts counts,
                                        kj::UnixEventPort& eventPort, kj::Timer& timer, VirtioNetCounters& counters) {
  uint64_t bufferBytes = (uint64_t{counts.receive} + counts.transmit) * VfioBackend::BUFFER_SIZE;
  auto transport = co_await openRegisters(device);
  auto interrupts = co_await openInterrupts(device, eventPort);

  auto pool = device.dmaPoolRequest().send().getPool();
  auto ringResponse = co_await pool.ringsRequest().send();
  auto rings = co_await openArea(ringResponse.getMemory(), VirtioNet::ringMemorySize());
  auto bufferResponse = co_await pool.buffersRequest().send();
  auto buffers = co_await openArea(bufferResponse.getMemory(), bufferBytes);

  VirtioNet::Memory memory{.rings = DmaSpan(rings.bytes, rings.iova),
                           .buffers = DmaSpan(buffers.bytes.slice(0, bufferBytes), buffers.iova),
                           .bufferSize = VfioBackend::BUFFER_SIZE};
  auto net = co_await VirtioNet::start(*transport, kj::mv(interrupts), memory, timer, counters);
  co_return VfioBackend{.device = net.attach(kj::mv(transport), kj::mv(rings.bytes)),
                        .buffers = kj::mv(buffers.bytes),
                        .bufferMemory = kj::mv(buffers.fd),
                        .counts = counts};
}

}  // namespace nexus
