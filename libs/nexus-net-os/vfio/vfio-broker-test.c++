#include "libs/nexus-net-os/vfio/vfio-broker.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/async-io.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libs/nexus-net-os/rpc/cap-transport.h"
#include "libs/nexus-net-os/rpc/fd-cap.h"
#include "libs/nexus-net-os/vfio/fake-vfio-kernel.h"

namespace nexus {
namespace {

constexpr kj::StringPtr ADDRESS = "0000:00:01.0"_kj;

bool isOpen(int fd) {
  return fcntl(fd, F_GETFD) >= 0;
}

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  DmaMap dma;
  FakeTransport device{dma};
  FakePci pci{device};
  FakeVfioKernel kernel{pci};

  template <typename T>
  T wait(kj::Promise<T> promise) {
    return promise.wait(io.waitScope);
  }

  // Without an event loop of its own for the other side: lets everything happen that can.
  void settle() {
    for (int i = 0; i < 10; i++) kj::evalLast([]() {}).wait(io.waitScope);
  }
};

TEST_CASE("the broker checks the device before it lets it reach memory") {
  Fixture f;
  auto broker = VfioBroker::open(f.kernel, ADDRESS, {.ringBytes = 5000, .bufferBytes = 8192});
  CHECK(kj::strArray(f.kernel.steps, " ") ==
        "container group set-container set-iommu device command 2 command 6 map-dma map-dma set-irqs");
  REQUIRE(f.kernel.mappings.size() == 2);
  CHECK(f.kernel.mappings[0].size == 8192);  // whole pages
  CHECK(f.kernel.mappings[1].size == 8192);
  CHECK(broker->pciAddress() == ADDRESS);
}

TEST_CASE("a device that would go around the IOMMU is refused before anything is mapped") {
  Fixture f;
  f.device.traits.features &= ~virtio::feature::ACCESS_PLATFORM;
  auto failure = kj::runCatchingExceptions([&]() { (void)VfioBroker::open(f.kernel, ADDRESS); });
  CHECK(strstr(KJ_ASSERT_NONNULL(failure).getDescription().cStr(), "iommu_platform=on") != nullptr);
  CHECK(f.kernel.mappings.empty());
  CHECK((f.kernel.command() & 4) == 0);
  CHECK_FALSE(isOpen(f.kernel.device));
  CHECK_FALSE(isOpen(f.kernel.group));
  CHECK_FALSE(isOpen(f.kernel.container));
}

TEST_CASE("what the holder gets is what was set up, over a real socket") {
  Fixture f;
  auto broker = VfioBroker::open(f.kernel, ADDRESS, {.ringBytes = 65536, .bufferBytes = 1 << 20});
  CapServer server([&](const PeerCredentials&) -> capnp::Capability::Client { return broker->device(); });
  auto pipe = f.io.provider->newCapabilityPipe();
  server.accept(kj::mv(pipe.ends[0]));
  CapConnection connection(kj::mv(pipe.ends[1]));
  auto device = connection.bootstrap().castAs<idl::Device>();

  auto mmio = f.wait(device.mmioRequest().send().getMmio().openRequest().send());
  CHECK(mmio.getAddress() == ADDRESS);
  REQUIRE(mmio.getRegions().size() == 2);
  CHECK(mmio.getRegions()[0].getKind() == idl::DeviceMmio::Region::Kind::CONFIG_SPACE);
  CHECK(mmio.getRegions()[0].getOffset() == uint64_t{7} << 40);
  CHECK(mmio.getRegions()[1].getIndex() == FakePci::BAR);
  CHECK(mmio.getRegions()[1].getLength() == FakePci::BAR_SIZE);
  CHECK(mmio.getRegions()[1].getMappable());

  auto pool = device.dmaPoolRequest().send().getPool();
  auto rings = f.wait(pool.ringsRequest().send());
  auto buffers = f.wait(pool.buffersRequest().send());
  CHECK(rings.getMemory().getSize() == 65536);
  CHECK(rings.getMemory().getIova() == f.kernel.mappings[0].iova);
  CHECK(buffers.getMemory().getIova() == f.kernel.mappings[1].iova);
  auto memory = f.wait(takeFd(buffers.getMemory().getMemory()));
  CHECK(lseek(memory, 0, SEEK_END) == 1 << 20);
  CHECK(fcntl(memory, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW));

  auto interrupts = f.wait(device.interruptsRequest().send());
  REQUIRE(interrupts.getInterrupts().size() == 3);
  for (auto interrupt : interrupts.getInterrupts()) {
    auto event = f.wait(takeFd(f.wait(interrupt.eventFdRequest().send()).getEvent()));
    CHECK((fcntl(event, F_GETFL) & O_NONBLOCK) != 0);
  }
}

TEST_CASE("each descriptor can be taken once, and the device by one holder") {
  Fixture f;
  auto broker = VfioBroker::open(f.kernel, ADDRESS);
  auto device = broker->device();
  CHECK_THROWS((void)broker->device());
  auto mmio = device.mmioRequest().send().getMmio();
  (void)f.wait(mmio.openRequest().send());
  CHECK_THROWS((void)f.wait(mmio.openRequest().send()));
  auto pool = device.dmaPoolRequest().send().getPool();
  (void)f.wait(pool.ringsRequest().send());
  CHECK_THROWS((void)f.wait(pool.ringsRequest().send()));
}

TEST_CASE("container and group close at once; the device as soon as its holder has let go of it") {
  Fixture f;
  auto broker = VfioBroker::open(f.kernel, ADDRESS);
  CHECK_FALSE(isOpen(f.kernel.container));
  CHECK_FALSE(isOpen(f.kernel.group));
  CHECK(isOpen(f.kernel.device));
  auto device = broker->device();
  {
    auto mmio = f.wait(device.mmioRequest().send().getMmio().openRequest().send());
    CHECK(isOpen(f.kernel.device));
  }
  f.settle();
  CHECK_FALSE(isOpen(f.kernel.device));
}

TEST_CASE("a holder that never came leaves nothing open") {
  Fixture f;
  auto broker = VfioBroker::open(f.kernel, ADDRESS);
  SUBCASE("broker dropped") {
    broker = nullptr;
  }
  SUBCASE("device dropped") {
    (void)broker->device();
  }
  f.settle();
  CHECK_FALSE(isOpen(f.kernel.device));
  for (int event : f.kernel.events) CHECK_FALSE(isOpen(event));
}

TEST_CASE("a failure on the way leaves nothing open") {
  Fixture f;
  SUBCASE("mapping") {
    f.kernel.mapError = ENOMEM;
  }
  SUBCASE("interrupts") {
    f.kernel.vectors = 1;
  }
  SUBCASE("no addresses") {
    f.kernel.ranges = kj::heapArray<IovaRange>({{0, 0xfff}});
  }
  CHECK_THROWS((void)VfioBroker::open(f.kernel, ADDRESS));
  CHECK_FALSE(isOpen(f.kernel.device));
}

}  // namespace
}  // namespace nexus
