#include "libs/nexus-net-os/vfio/vfio-broker.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/rpc/fd-cap.h"
#include "libs/nexus-net-os/vfio/mapped-memory.h"
#include "libs/nexus-net-os/vfio/vfio-session.h"

namespace nexus {

namespace {

constexpr kj::uint VECTORS = 3;  // configuration, receive, transmit
constexpr kj::uint BARS = 6;
constexpr uint64_t PAGE = 4096;

// A descriptor that can be taken once: afterwards only the holder keeps it open.
class TakeOnce {
 public:
  explicit TakeOnce(kj::AutoCloseFd fd) : fd(kj::mv(fd)) {}

  idl::Fd::Client take() {
    KJ_IF_MAYBE (present, fd) {
      auto cap = newFdCap(kj::mv(*present));
      fd = nullptr;
      return cap;
    }
    KJ_FAIL_REQUIRE("this descriptor was taken already; the device serves one holder");
  }

 private:
  kj::Maybe<kj::AutoCloseFd> fd;
};

struct Memory {
  kj::AutoCloseFd fd;
  uint64_t iova;
  uint64_t size;
};

struct Region {
  idl::DeviceMmio::Region::Kind kind;
  uint8_t index;
  VfioRegion at;
};

class MmioServer final : public idl::DeviceMmio::Server {
 public:
  MmioServer(kj::AutoCloseFd device, kj::Vector<Region> regions, kj::String address)
      : device(kj::mv(device)), regions(kj::mv(regions)), address(kj::mv(address)) {}

  kj::Promise<void> open(OpenContext context) override {
    auto results = context.getResults();
    results.setDevice(device.take());
    results.setAddress(address);
    auto list = results.initRegions(regions.size());
    for (size_t i = 0; i < regions.size(); i++) {
      list[i].setKind(regions[i].kind);
      list[i].setIndex(regions[i].index);
      list[i].setOffset(regions[i].at.offset);
      list[i].setLength(regions[i].at.length);
      list[i].setMappable(regions[i].at.mappable);
    }
    return kj::READY_NOW;
  }

 private:
  TakeOnce device;
  kj::Vector<Region> regions;
  kj::String address;
};

class InterruptServer final : public idl::Interrupt::Server {
 public:
  explicit InterruptServer(kj::AutoCloseFd event) : event(kj::mv(event)) {}

  kj::Promise<void> eventFd(EventFdContext context) override {
    context.getResults().setEvent(event.take());
    return kj::READY_NOW;
  }

 private:
  TakeOnce event;
};

class DmaPoolServer final : public idl::DmaPool::Server {
 public:
  DmaPoolServer(Memory rings, Memory buffers) : ringArea(kj::mv(rings)), bufferArea(kj::mv(buffers)) {}

  kj::Promise<void> rings(RingsContext context) override {
    ringArea.describe(context.getResults().initMemory());
    return kj::READY_NOW;
  }

  kj::Promise<void> buffers(BuffersContext context) override {
    bufferArea.describe(context.getResults().initMemory());
    return kj::READY_NOW;
  }

 private:
  struct Area {
    explicit Area(Memory memory) : fd(kj::mv(memory.fd)), iova(memory.iova), size(memory.size) {}

    void describe(idl::DmaPool::DmaMemory::Builder out) {
      out.setMemory(fd.take());
      out.setIova(iova);
      out.setSize(size);
    }

    TakeOnce fd;
    uint64_t iova, size;
  };

  Area ringArea, bufferArea;
};

class DeviceServer final : public idl::Device::Server {
 public:
  DeviceServer(idl::DeviceMmio::Client mmio, kj::Vector<idl::Interrupt::Client> interrupts, idl::DmaPool::Client pool)
      : registers(kj::mv(mmio)), vectors(kj::mv(interrupts)), pool(kj::mv(pool)) {}

  kj::Promise<void> mmio(MmioContext context) override {
    context.getResults().setMmio(registers);
    return kj::READY_NOW;
  }

  kj::Promise<void> interrupts(InterruptsContext context) override {
    auto list = context.getResults().initInterrupts(vectors.size());
    for (size_t i = 0; i < vectors.size(); i++) list.set(i, vectors[i]);
    return kj::READY_NOW;
  }

  kj::Promise<void> dmaPool(DmaPoolContext context) override {
    context.getResults().setPool(pool);
    return kj::READY_NOW;
  }

 private:
  idl::DeviceMmio::Client registers;
  kj::Vector<idl::Interrupt::Client> vectors;
  idl::DmaPool::Client pool;
};

// Pinned by the kernel from here on: our own view of it is not needed.
Memory newDmaMemory(VfioKernel& kernel, VfioSession& session, IovaAllocator& addresses, kj::StringPtr name,
                    uint64_t bytes) {
  uint64_t size = (bytes + PAGE - 1) / PAGE * PAGE;
  Memory memory{newSharedMemory(name, size), addresses.take(size), size};
  auto view = mapShared(memory.fd, 0, size);
  mapForDevice(kernel, session, view, memory.iova);
  return memory;
}

class VfioBrokerImpl final : public VfioBroker {
 public:
  VfioBrokerImpl(idl::Device::Client device, kj::String address) : served(kj::mv(device)), address(kj::mv(address)) {}

  idl::Device::Client device() override {
    KJ_IF_MAYBE (cap, served) {
      auto result = kj::mv(*cap);
      served = nullptr;
      return result;
    }
    KJ_FAIL_REQUIRE("the device was given to its one holder already", address);
  }

  kj::StringPtr pciAddress() override { return address; }

 private:
  kj::Maybe<idl::Device::Client> served;
  kj::String address;
};

}  // namespace

kj::Own<VfioBroker> VfioBroker::open(VfioKernel& kernel, kj::StringPtr pciAddress, const VfioSizes& sizes) {
  auto session = openVfioSession(kernel, pciAddress);

  // Registers first, memory access only for a device that is known to be confined.
  enablePciAccess(kernel, session, false);
  {
    PciTransport transport(*newVfioPciFunction(kernel, session));
    requireConfined(transport, pciAddress);
  }
  enablePciAccess(kernel, session, true);

  IovaAllocator addresses(kernel.iovaRanges(session.container));
  auto rings = newDmaMemory(kernel, session, addresses, "nexus-rings", sizes.ringBytes);
  auto buffers = newDmaMemory(kernel, session, addresses, "nexus-buffers", sizes.bufferBytes);

  kj::Vector<idl::Interrupt::Client> interrupts;
  for (auto& event : armMsix(kernel, session, VECTORS)) interrupts.add(kj::heap<InterruptServer>(kj::mv(event)));

  kj::Vector<Region> regions;
  regions.add(
      Region{idl::DeviceMmio::Region::Kind::CONFIG_SPACE, 0, kernel.region(session.device, VfioKernel::CONFIG_REGION)});
  for (kj::uint bar = 0; bar < BARS; bar++) {
    auto region = kernel.region(session.device, bar);
    if (region.length > 0) regions.add(Region{idl::DeviceMmio::Region::Kind::BAR, static_cast<uint8_t>(bar), region});
  }

  // Container and group close here; the device descriptor keeps both alive.
  auto mmio = kj::heap<MmioServer>(kj::mv(session.device), kj::mv(regions), kj::str(pciAddress));
  auto pool = kj::heap<DmaPoolServer>(kj::mv(rings), kj::mv(buffers));
  return kj::heap<VfioBrokerImpl>(kj::heap<DeviceServer>(kj::mv(mmio), kj::mv(interrupts), kj::mv(pool)),
                                  kj::str(pciAddress));
}

}  // namespace nexus
