#include "libs/nexus-net-os/vfio/vfio-session.h"

#include <doctest/doctest.h>
#include <errno.h>

#include "libs/nexus-net-os/vfio/fake-vfio-kernel.h"

namespace nexus {
namespace {

struct Fixture {
  DmaMap dma;
  FakeTransport device{dma};
  FakePci pci{device};
  FakeVfioKernel kernel{pci};

  void fails(kj::StringPtr expected, kj::Exception::Type type = kj::Exception::Type::FAILED) {
    auto failure = kj::runCatchingExceptions([&]() { (void)openVfioSession(kernel, "0000:00:01.0"); });
    auto& e = KJ_ASSERT_NONNULL(failure);
    CAPTURE(e.getDescription().cStr());
    CHECK(strstr(e.getDescription().cStr(), expected.cStr()) != nullptr);
    CHECK(e.getType() == type);
  }
};

TEST_CASE("a session is opened in the order the kernel wants") {
  Fixture f;
  auto session = openVfioSession(f.kernel, "0000:00:01.0");
  CHECK(kj::strArray(f.kernel.steps, " ") == "container group set-container set-iommu device");
  CHECK(session.device.get() == f.kernel.device);
}

TEST_CASE("every step that fails says what to do") {
  Fixture f;
  SUBCASE("no IOMMU") {
    f.kernel.hasGroup = false;
    f.fails("-device intel-iommu");
  }
  SUBCASE("no VFIO") {
    f.kernel.containerError = ENOENT;
    f.fails("load the modules");
  }
  SUBCASE("not root") {
    f.kernel.containerError = EACCES;
    f.fails("run as root");
  }
  SUBCASE("the former driver is still there") {
    f.kernel.groupError = EBUSY;
    f.fails("still open in another process", kj::Exception::Type::OVERLOADED);
  }
  SUBCASE("not bound") {
    f.kernel.groupError = ENOENT;
    f.fails("bind 0000:00:01.0 to vfio-pci first");
  }
  SUBCASE("no type 1 IOMMU") {
    f.kernel.hasType1v2 = false;
    f.fails("vfio_iommu_type1");
  }
  SUBCASE("a group with foreign devices") {
    f.kernel.viable = false;
    f.fails("VFIO group 7 is not viable: the other devices of the group (0000:00:02.0, 0000:00:03.0)");
  }
  SUBCASE("a container that is refused") {
    f.kernel.setContainerError = EINVAL;
    f.fails("cannot join a container");
  }
  SUBCASE("no interrupt remapping") {
    f.kernel.setIommuError = EPERM;
    f.fails("intremap=on");
  }
  SUBCASE("an IOMMU that is refused otherwise") {
    f.kernel.setIommuError = ENODEV;
    f.fails("no type 1 IOMMU");
  }
  SUBCASE("a device that is refused") {
    f.kernel.deviceError = ENODEV;
    f.fails("does not give the device");
  }
}

TEST_CASE("register access and memory access are switched on apart") {
  Fixture f;
  auto session = openVfioSession(f.kernel, "0000:00:01.0");
  f.pci.poke<uint16_t>(4, 0x0100);
  enablePciAccess(f.kernel, session, false);
  CHECK(f.kernel.command() == 0x0102);
  enablePciAccess(f.kernel, session, true);
  CHECK(f.kernel.command() == 0x0106);
}

TEST_CASE("a device that would go around the IOMMU is refused") {
  Fixture f;
  auto session = openVfioSession(f.kernel, "0000:00:01.0");
  PciTransport transport(*newVfioPciFunction(f.kernel, session));
  requireConfined(transport, "0000:00:01.0");
  f.device.traits.features &= ~virtio::feature::ACCESS_PLATFORM;
  CHECK_THROWS(requireConfined(transport, "0000:00:01.0"));
}

TEST_CASE("interrupts need as many vectors as are asked for, and the kernel's consent") {
  Fixture f;
  auto session = openVfioSession(f.kernel, "0000:00:01.0");
  auto events = armMsix(f.kernel, session, 3);
  CHECK(events.size() == 3);
  CHECK(f.kernel.events.size() == 3);
  CHECK(f.kernel.events[2] == events[2].get());
  f.kernel.vectors = 2;
  CHECK_THROWS((void)armMsix(f.kernel, session, 3));
  f.kernel.vectors = 3;
  f.kernel.msixError = EINVAL;
  CHECK_THROWS((void)armMsix(f.kernel, session, 3));
}

TEST_CASE("a memory limit is named as the reason") {
  Fixture f;
  auto session = openVfioSession(f.kernel, "0000:00:01.0");
  kj::byte page[4096];
  f.kernel.mapError = ENOMEM;
  auto failure = kj::runCatchingExceptions([&]() { mapForDevice(f.kernel, session, page, 0x1000); });
  CHECK(strstr(KJ_ASSERT_NONNULL(failure).getDescription().cStr(), "RLIMIT_MEMLOCK") != nullptr);
  f.kernel.mapError = EEXIST;
  CHECK_THROWS(mapForDevice(f.kernel, session, page, 0x1000));
}

TEST_CASE("DMA addresses keep out of the interrupt window, of address 0 and of each other") {
  IovaAllocator low(kj::heapArray<IovaRange>({{0, 0xfedfffff}, {0xfef00000, 0x7fffffffff}}));
  CHECK(low.take(4096) == 0x200000);
  CHECK(low.take(0x200001) == 0x400000);
  CHECK(low.take(4096) == 0x800000);
  CHECK(low.take(0xfe800000) == 0xff000000);  // does not fit below the window

  IovaAllocator exact(kj::heapArray<IovaRange>({{0x200000, 0x201fff}}));
  CHECK_THROWS((void)exact.take(0x2001));
  CHECK(exact.take(0x2000) == 0x200000);
  CHECK_THROWS((void)exact.take(1));

  IovaAllocator top(kj::heapArray<IovaRange>({{0xfffffffffff00000, 0xffffffffffffffff}}));
  CHECK_THROWS((void)top.take(0x100000));  // no aligned address in it
}

}  // namespace
}  // namespace nexus
