// The hand-over from a broker, without hardware: the device's registers are plain memory. Such a device keeps what is
// written to it, which is all that a handshake asks for: it resets, offers the same 32 feature bits in both halves, and
// never sends a frame.
#include "daemons/virtionetd/backend-vfio.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "libs/nexus-net-os/rpc/cap-transport.h"
#include "libs/nexus-net-os/rpc/fd-cap.h"
#include "libs/nexus-net-os/vfio/mapped-memory.h"
#include "libs/nexus-net-os/virtio/virtio-net.h"
#include "libs/nexus-net-os/virtio/virtio-types.h"

namespace nexus {
namespace {

constexpr uint64_t CONFIG_AT = 0, BAR_AT = 4096, BAR_BYTES = 0x4000;
constexpr uint32_t COMMON = 0, DEVICE = 0x1000, NOTIFY = 0x2000;
constexpr uint64_t RING_IOVA = 0x200000, BUFFER_IOVA = 0x400000;
constexpr VfioBufferCounts COUNTS{.receive = 16, .transmit = 16};

// What the broker offers, open to be spoilt by a test.
struct Offer {
  uint64_t ringBytes = 64 * 1024;
  uint64_t bufferBytes = 32 * 2048;
  kj::uint interrupts = 3;
  bool mappable = true;
  uint32_t features = 0x23;  // MAC in the lower half, VERSION_1 and ACCESS_PLATFORM in the upper
};

class Registers {
 public:
  explicit Registers(const Offer& offer) : fd(newSharedMemory("fake-vfio-device", BAR_AT + BAR_BYTES)) {
    bytes = mapShared(fd, 0, BAR_AT + BAR_BYTES);
    set<uint16_t>(CONFIG_AT + 0x06, 0x10);
    set<uint8_t>(CONFIG_AT + 0x34, 0x40);
    capability(0x40, 0x50, virtio::PciCapability::COMMON, COMMON);
    capability(0x50, 0x60, virtio::PciCapability::DEVICE, DEVICE);
    capability(0x60, 0, virtio::PciCapability::NOTIFY, NOTIFY);
    set<uint32_t>(BAR_AT + COMMON + offsetof(virtio::PciCommonConfig, deviceFeature), offer.features);
    set<uint16_t>(BAR_AT + COMMON + offsetof(virtio::PciCommonConfig, queueCount), 2);
    set<uint16_t>(BAR_AT + COMMON + offsetof(virtio::PciCommonConfig, queueSize), 64);
    const kj::byte mac[] = {0x52, 0x54, 0, 0x12, 0x34, 0x0b};
    memcpy(bytes.begin() + BAR_AT + DEVICE, mac, sizeof(mac));
  }

  uint8_t status() const { return bytes[BAR_AT + COMMON + offsetof(virtio::PciCommonConfig, deviceStatus)]; }

  kj::AutoCloseFd fd;

 private:
  kj::Array<kj::byte> bytes;

  template <typename T>
  void set(uint64_t at, T value) {
    memcpy(bytes.begin() + at, &value, sizeof(value));
  }

  void capability(uint8_t at, uint8_t next, uint8_t type, uint32_t offset) {
    set(at, virtio::PciCapability{virtio::PciCapability::VENDOR_SPECIFIC, next, 16, type, 4, {}, offset, 0x1000});
  }
};

kj::AutoCloseFd copyOf(int fd) {
  int copy;
  KJ_SYSCALL(copy = dup(fd));
  return kj::AutoCloseFd(copy);
}

class FakeMmio final : public idl::DeviceMmio::Server {
 public:
  FakeMmio(Registers& registers, const Offer& offer) : registers(registers), offer(offer) {}

  kj::Promise<void> open(OpenContext context) override {
    auto results = context.getResults();
    results.setDevice(newFdCap(copyOf(registers.fd)));
    auto regions = results.initRegions(2);
    regions[0].setKind(idl::DeviceMmio::Region::Kind::CONFIG_SPACE);
    regions[0].setOffset(CONFIG_AT);
    regions[0].setLength(256);
    regions[1].setKind(idl::DeviceMmio::Region::Kind::BAR);
    regions[1].setIndex(4);
    regions[1].setOffset(BAR_AT);
    regions[1].setLength(BAR_BYTES);
    regions[1].setMappable(offer.mappable);
    return kj::READY_NOW;
  }

 private:
  Registers& registers;
  const Offer& offer;
};

class FakeInterruptServer final : public idl::Interrupt::Server {
 public:
  kj::Promise<void> eventFd(EventFdContext context) override {
    int fd;
    KJ_SYSCALL(fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    context.getResults().setEvent(newFdCap(kj::AutoCloseFd(fd)));
    return kj::READY_NOW;
  }
};

class FakePool final : public idl::DmaPool::Server {
 public:
  explicit FakePool(const Offer& offer) : offer(offer) {}

  kj::Promise<void> rings(RingsContext context) override {
    return describe(context.getResults().initMemory(), offer.ringBytes, RING_IOVA);
  }
  kj::Promise<void> buffers(BuffersContext context) override {
    return describe(context.getResults().initMemory(), offer.bufferBytes, BUFFER_IOVA);
  }

 private:
  const Offer& offer;

  static kj::Promise<void> describe(idl::DmaPool::DmaMemory::Builder out, uint64_t size, uint64_t iova) {
    out.setMemory(newFdCap(newSharedMemory("fake-dma", size)));
    out.setSize(size);
    out.setIova(iova);
    return kj::READY_NOW;
  }
};

class FakeDevice final : public idl::Device::Server {
 public:
  FakeDevice(Registers& registers, const Offer& offer, bool& dropped)
      : registers(registers), offer(offer), dropped(dropped) {}
  ~FakeDevice() noexcept(false) { dropped = true; }

  kj::Promise<void> mmio(MmioContext context) override {
    context.getResults().setMmio(kj::heap<FakeMmio>(registers, offer));
    return kj::READY_NOW;
  }
  kj::Promise<void> interrupts(InterruptsContext context) override {
    auto list = context.getResults().initInterrupts(offer.interrupts);
    for (kj::uint i = 0; i < offer.interrupts; i++) list.set(i, kj::heap<FakeInterruptServer>());
    return kj::READY_NOW;
  }
  kj::Promise<void> dmaPool(DmaPoolContext context) override {
    context.getResults().setPool(kj::heap<FakePool>(offer));
    return kj::READY_NOW;
  }

 private:
  Registers& registers;
  const Offer& offer;
  bool& dropped;
};

// Descriptors of this process that lead to something of that name.
kj::uint openCount(const char* name) {
  kj::uint count = 0;
  auto* folder = opendir("/proc/self/fd");
  KJ_DEFER(closedir(folder));
  while (auto* entry = readdir(folder)) {
    char target[256];
    ssize_t n = readlink((std::string("/proc/self/fd/") + entry->d_name).c_str(), target, sizeof(target) - 1);
    if (n > 0 && std::string(target, n).find(name) != std::string::npos) count++;
  }
  return count;
}

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Offer offer;
  VirtioNetCounters counters;
  bool dropped = false;
  kj::Own<Registers> registers;

  // As it really goes: over a Unix socket.
  VfioBackend open() {
    registers = kj::heap<Registers>(offer);
    CapServer server([this](const PeerCredentials&) -> capnp::Capability::Client {
      return kj::heap<FakeDevice>(*registers, offer, dropped);
    });
    auto pipe = io.provider->newCapabilityPipe();
    server.accept(kj::mv(pipe.ends[0]));
    CapConnection connection(kj::mv(pipe.ends[1]));
    return newVfioBackend(connection.bootstrap().castAs<idl::Device>(), COUNTS, io.unixEventPort,
                          io.provider->getTimer(), counters)
        .wait(io.waitScope);
  }

  void fails(kj::StringPtr expected) {
    auto failure = kj::runCatchingExceptions([&]() { (void)open(); });
    auto text = kj::str(KJ_ASSERT_NONNULL(failure).getDescription());
    CAPTURE(text.cStr());
    CHECK(strstr(text.cStr(), expected.cStr()) != nullptr);
    // Whatever went wrong, nothing stays behind.
    registers = nullptr;
    CHECK(openCount("fake-vfio-device") == 0);
    CHECK(openCount("fake-dma") == 0);
  }
};

TEST_CASE("the backend brings the device up and keeps nothing but mappings and the buffer descriptor") {
  Fixture f;
  auto backend = f.open();
  CHECK(f.dropped);
  CHECK(openCount("fake-vfio-device") == 1);  // the test's own
  CHECK(openCount("fake-dma") == 1);          // the buffers, for sharing

  CHECK(kj::str(backend.device->macAddress()) == "52:54:00:12:34:0b");
  CHECK(backend.device->linkState().up);
  CHECK(backend.buffers.size() == 32 * 2048);
  CHECK(backend.counts.receive == 16);
  CHECK((f.registers->status() & virtio::status::DRIVER_OK) != 0);
  CHECK(f.counters.initialisations == 1);

  // The array and the descriptor are the same memory.
  auto again = mapShared(backend.bufferMemory, 0, 4096);
  backend.buffers[7] = 42;
  CHECK(again[7] == 42);

  // The registers still work: at its end the driver resets the device.
  backend.device = nullptr;
  CHECK(f.registers->status() == virtio::status::RESET);
}

TEST_CASE("only as many buffers exist as were asked for") {
  Fixture f;
  f.offer.bufferBytes = 64 * 2048;
  auto backend = f.open();
  CHECK(backend.device->provide(31));
  CHECK_THROWS((void)backend.device->provide(32));
}

TEST_CASE("what the broker gives and cannot be used is refused, and everything is closed") {
  Fixture f;
  SUBCASE("buffers too small") {
    f.offer.bufferBytes = 32 * 2048 - 4096;
    f.fails("smaller than the configuration needs");
  }
  SUBCASE("rings too small") {
    f.offer.ringBytes = 4096;
    f.fails("smaller than the configuration needs");
  }
  SUBCASE("too few interrupts") {
    f.offer.interrupts = 2;
    f.fails("too few interrupts");
  }
  SUBCASE("registers that cannot be mapped") {
    f.offer.mappable = false;
    f.fails("cannot be mapped");
  }
  SUBCASE("a device that goes around the IOMMU") {
    f.offer.features = 0x21;
    f.fails("iommu_platform=on");
    CHECK(f.counters[DeviceFault::HANDSHAKE] == 1);
  }
}

}  // namespace
}  // namespace nexus
