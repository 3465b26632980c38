#include "libs/nexus-net-os/virtio/pci-transport.h"

#include <doctest/doctest.h>
#include <kj/debug.h>

#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/virtio/fake-pci.h"
#include "libs/nexus-net-os/virtio/virtio-net-fixture.h"

namespace nexus {
namespace {

using virtio::PciCapability;

struct Fixture {
  DmaMap dma;
  FakeTransport device{dma};
  FakePci pci{device};

  // Where the description of a structure's BAR, offset and size stand in its capability.
  static constexpr size_t NEXT_AT = 1, TYPE_AT = 3, BAR_AT = 4, OFFSET_AT = 8, SIZE_AT = 12;

  template <typename T>
  void set(uint8_t type, size_t offset, T value) {
    memcpy(&pci.capability(type, offset), &value, sizeof(value));
  }

  void refused(kj::StringPtr why) {
    auto failure = kj::runCatchingExceptions([&]() { PciTransport transport(pci); });
    auto text = kj::str(KJ_ASSERT_NONNULL(failure).getDescription());
    CAPTURE(text.cStr());
    CHECK(strstr(text.cStr(), why.cStr()) != nullptr);
  }
};

TEST_CASE("a whole virtio-net driver works through the PCI structures") {
  VirtioNetFixture f;
  FakePci pci(f.device);
  PciTransport transport(pci);
  VirtioNet::Memory memory{f.rings.span(), f.buffers.span(), VirtioNetFixture::BUFFER_SIZE};
  f.driver = f.clock.run(VirtioNet::start(transport, f.device.interrupts(), memory, f.clock.timer, f.counters));
  CHECK(f.net().macAddress() == f.device.traits.mac);
  CHECK(f.device.acceptedFeatures() == f.device.traits.features);

  f.provide(8);
  CHECK(f.device.deliver(testFrame(1514)));
  CHECK(f.poll() == 1);
  CHECK(f.frames[0] == testFrame(1514));
  CHECK(f.send(300, testFrame(60)));
  CHECK(f.device.notifyCount(1) == 1);
  CHECK(f.device.collect()[0] == testFrame(60));
  f.driver = nullptr;
  CHECK(f.device.currentStatus() == virtio::status::RESET);
  CHECK(pci.refusedAccesses == 0);
}

TEST_CASE("the features of a device are read in two halves") {
  Fixture f;
  f.device.traits.features = 0x0123456789abcdef;
  PciTransport transport(f.pci);
  CHECK(transport.deviceFeatures() == 0x0123456789abcdef);
  transport.acceptFeatures(0xfedcba9876543210);
  CHECK(f.device.acceptedFeatures() == 0xfedcba9876543210);
}

TEST_CASE("a queue that does not exist has no size") {
  Fixture f;
  PciTransport transport(f.pci);
  CHECK(transport.maxQueueSize(0) == 256);
  CHECK(transport.maxQueueSize(2) == 0);
  CHECK(transport.maxQueueSize(3) == 0);  // beyond num_queues
  CHECK_THROWS(transport.notify(0));      // not enabled
}

TEST_CASE("the first usable structure of a type counts") {
  Fixture f;
  f.set<uint8_t>(PciCapability::ISR, Fixture::TYPE_AT, PciCapability::DEVICE);  // a second one, at the ISR's place
  PciTransport transport(f.pci);
  kj::byte mac[6];
  transport.readConfig(0, mac);
  CHECK(kj::arrayPtr(mac, 6) == kj::arrayPtr(f.device.traits.mac.bytes.data(), 6));

  // One in a BAR that is reserved for the future is passed over (4.1.4).
  Fixture g;
  g.set<uint8_t>(PciCapability::DEVICE, Fixture::BAR_AT, 6);
  g.refused("structure is missing");
}

TEST_CASE("a function that is no modern virtio device is refused") {
  Fixture f;
  SUBCASE("no capability list") {
    f.pci.poke<uint16_t>(0x06, 0);
  }
  SUBCASE("an empty list") {
    f.pci.config[0x34] = 0;
  }
  SUBCASE("no common configuration") {
    f.set<uint8_t>(PciCapability::COMMON, Fixture::TYPE_AT, 9);
  }
  SUBCASE("no notification") {
    f.set<uint8_t>(PciCapability::NOTIFY, Fixture::TYPE_AT, 9);
  }
  SUBCASE("no device configuration") {
    f.set<uint8_t>(PciCapability::DEVICE, Fixture::TYPE_AT, 9);
  }
  f.refused("not a modern virtio device");
}

TEST_CASE("structures that do not fit are refused") {
  Fixture f;
  SUBCASE("beyond the BAR") {
    f.set<uint32_t>(PciCapability::NOTIFY, Fixture::OFFSET_AT, 0x3001);
    f.refused("leaves its BAR");
  }
  SUBCASE("a sum that wraps") {
    f.set<uint32_t>(PciCapability::COMMON, Fixture::OFFSET_AT, 0xfffffffc);
    f.refused("leaves its BAR");
  }
  SUBCASE("a BAR that does not exist") {
    f.set<uint8_t>(PciCapability::COMMON, Fixture::BAR_AT, 3);
    f.refused("does not exist");
  }
  SUBCASE("a common configuration that is cut off") {
    f.set<uint32_t>(PciCapability::COMMON, Fixture::SIZE_AT, 55);
    f.refused("cut off");
  }
  SUBCASE("a common configuration that is not aligned") {
    f.set<uint32_t>(PciCapability::COMMON, Fixture::OFFSET_AT, 2);
    f.refused("cut off");
  }
  SUBCASE("a notification area that is not aligned") {
    f.set<uint32_t>(PciCapability::NOTIFY, Fixture::SIZE_AT, 0x10);
    f.set<uint32_t>(PciCapability::NOTIFY, Fixture::OFFSET_AT, 0x3001);
    f.refused("not aligned");
  }
  SUBCASE("a list that loops") {
    f.set<uint8_t>(PciCapability::NOTIFY, Fixture::NEXT_AT, 0x40);
    f.refused("loops");
  }
  SUBCASE("a capability that leaves the configuration space") {
    f.pci.config[0xf8] = PciCapability::VENDOR_SPECIFIC;
    f.set<uint8_t>(PciCapability::NOTIFY, Fixture::NEXT_AT, 0xf8);
    f.refused("leaves the configuration space");
  }
}

TEST_CASE("a notification address outside its structure is refused, one at its end is not") {
  struct Case {
    uint32_t size;
    bool fits;
  };
  for (auto c : {Case{2, true}, Case{1, false}}) {
    TestMemory rings(Virtq::memorySize(32), 0x1000);
    Fixture f;
    f.dma.map(rings.span());
    f.set<uint32_t>(PciCapability::NOTIFY, Fixture::SIZE_AT, c.size);
    PciTransport transport(f.pci);
    Virtq queue(32, rings.span(), false);
    if (c.fits) {
      CHECK(transport.enableQueue(0, 32, queue.addresses(), 1));
      transport.notify(0);
      CHECK(f.device.notifyCount(0) == 1);
    } else {
      CHECK_THROWS((void)transport.enableQueue(0, 32, queue.addresses(), 1));
    }
  }
}

TEST_CASE("device configuration is read within its bounds only") {
  Fixture f;
  f.set<uint32_t>(PciCapability::DEVICE, Fixture::SIZE_AT, 8);
  PciTransport transport(f.pci);
  kj::byte bytes[8];
  transport.readConfig(0, bytes);
  CHECK_THROWS(transport.readConfig(1, bytes));
  CHECK_THROWS(transport.readConfig(0xffffffff, bytes));
}

TEST_CASE("any configuration space is either used within its bounds or refused, by seed") {
  kj::uint usable = 0;
  for (uint64_t seed = 1; seed <= 20000; seed++) {
    CAPTURE(seed);
    FixedEntropy random(seed);
    Fixture f;
    for (kj::uint i = random.u32() % 6 + 1; i > 0; i--) f.pci.config[random.u32() % 0x98] = random.u32();
    if (random.u32() % 10 == 0) random.fill(kj::arrayPtr(f.pci.config.data(), f.pci.config.size()));
    auto failure = kj::runCatchingExceptions([&]() {
      PciTransport transport(f.pci);
      transport.deviceFeatures();
      kj::byte mac[6];
      transport.readConfig(0, mac);
      usable++;
    });
  }
  CHECK(usable > 1000);
  CHECK(usable < 19000);
}

}  // namespace
}  // namespace nexus
