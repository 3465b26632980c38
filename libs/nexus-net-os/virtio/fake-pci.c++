#include "libs/nexus-net-os/virtio/fake-pci.h"

#include <kj/debug.h>

#include <cstring>

namespace nexus {

using virtio::PciCapability;
using virtio::PciCommonConfig;

class FakePci::Window final : public RegisterWindow {
 public:
  explicit Window(FakePci& parent) : parent(parent) {}
  uint64_t size() const override { return BAR_SIZE; }
  uint8_t read8(uint64_t offset) override { return parent.read(offset, 1); }
  uint16_t read16(uint64_t offset) override { return parent.read(offset, 2); }
  uint32_t read32(uint64_t offset) override { return parent.read(offset, 4); }
  void write8(uint64_t offset, uint8_t value) override { parent.write(offset, 1, value); }
  void write16(uint64_t offset, uint16_t value) override { parent.write(offset, 2, value); }
  void write32(uint64_t offset, uint32_t value) override { parent.write(offset, 4, value); }

 private:
  FakePci& parent;
};

FakePci::FakePci(FakeTransport& device) : device(device) {
  poke<uint16_t>(0x00, virtio::PCI_VENDOR);
  poke<uint16_t>(0x02, virtio::PCI_DEVICE_NET_MODERN);
  poke<uint16_t>(0x06, 0x10);
  config[0x34] = 0x40;
  config[0x40] = 0x11;  // MSI-X, which is not ours to read
  config[0x41] = 0x50;
  addCapability(0x50, 0x64, PciCapability::COMMON, COMMON, 0x1000);
  addCapability(0x64, 0x74, PciCapability::DEVICE, DEVICE, 0x1000);
  addCapability(0x74, 0x84, PciCapability::ISR, ISR, 0x1000);
  addCapability(0x84, 0, PciCapability::NOTIFY, NOTIFY, 0x1000);
  poke<uint32_t>(0x84 + sizeof(PciCapability), MULTIPLIER);
}

void FakePci::addCapability(uint8_t where, uint8_t next, uint8_t type, uint32_t offset, uint32_t size) {
  at[type] = where;
  poke(where, PciCapability{.vendor = PciCapability::VENDOR_SPECIFIC,
                            .next = next,
                            .length = sizeof(PciCapability),
                            .type = type,
                            .bar = BAR,
                            .padding = {},
                            .offset = offset,
                            .size = size});
}

void FakePci::readConfig(uint16_t offset, kj::ArrayPtr<kj::byte> out) {
  KJ_REQUIRE(offset + out.size() <= config.size(), "outside the configuration space", offset);
  memcpy(out.begin(), config.data() + offset, out.size());
}

kj::Maybe<kj::Own<RegisterWindow>> FakePci::bar(uint8_t index) {
  if (index != BAR) return nullptr;
  return kj::Own<RegisterWindow>(kj::heap<Window>(*this));
}

uint32_t FakePci::read(uint64_t offset, size_t width) {
  if (offset < sizeof(PciCommonConfig)) return readCommon(offset);
  if (offset >= DEVICE && offset + width <= DEVICE + sizeof(virtio::NetConfig)) {
    uint32_t value = 0;
    device.readConfig(offset - DEVICE, kj::arrayPtr(reinterpret_cast<kj::byte*>(&value), width));
    return value;
  }
  refusedAccesses++;
  return ~uint32_t{0};
}

void FakePci::write(uint64_t offset, size_t width, uint32_t value) {
  if (offset < sizeof(PciCommonConfig)) {
    writeCommon(offset, value);
  } else if (offset == NOTIFY + value * MULTIPLIER && width == 2 && value < 2) {
    device.notify(value);
  } else {
    refusedAccesses++;
  }
}

uint32_t FakePci::readCommon(size_t offset) {
  auto& queue = queues[common.queueSelect % 2];
  auto orRefused = [this](uint16_t vector) {
    return vector == device.traits.refusedVector ? virtio::NO_VECTOR : vector;
  };
  switch (offset) {
    case offsetof(PciCommonConfig, deviceFeature):
      return device.deviceFeatures() >> (32 * common.deviceFeatureSelect);
    case offsetof(PciCommonConfig, configVector):
      return orRefused(common.configVector);
    case offsetof(PciCommonConfig, queueCount):
      return 3;
    case offsetof(PciCommonConfig, deviceStatus):
      return device.readStatus();
    case offsetof(PciCommonConfig, configGeneration):
      return device.configGeneration();
    case offsetof(PciCommonConfig, queueSize):
      return device.maxQueueSize(common.queueSelect);
    case offsetof(PciCommonConfig, queueVector):
      return orRefused(queue.vector);
    case offsetof(PciCommonConfig, queueNotifyOffset):
      return common.queueNotifyOffset + common.queueSelect;
    default:
      refusedAccesses++;
      return ~uint32_t{0};
  }
}

void FakePci::writeCommon(size_t offset, uint32_t value) {
  auto& queue = queues[common.queueSelect % 2];
  switch (offset) {
    case offsetof(PciCommonConfig, deviceFeatureSelect):
      common.deviceFeatureSelect = value;
      break;
    case offsetof(PciCommonConfig, driverFeatureSelect):
      common.driverFeatureSelect = value;
      break;
    case offsetof(PciCommonConfig, driverFeature):
      driverFeatures &= ~(uint64_t{0xffffffff} << (32 * common.driverFeatureSelect));
      driverFeatures |= uint64_t{value} << (32 * common.driverFeatureSelect);
      device.acceptFeatures(driverFeatures);
      break;
    case offsetof(PciCommonConfig, configVector):
      common.configVector = value;
      break;
    case offsetof(PciCommonConfig, deviceStatus):
      device.writeStatus(value);
      break;
    case offsetof(PciCommonConfig, queueSelect):
      common.queueSelect = value;
      break;
    case offsetof(PciCommonConfig, queueSize):
      queue.size = value;
      break;
    case offsetof(PciCommonConfig, queueVector):
      queue.vector = value;
      break;
    case offsetof(PciCommonConfig, queueNotifyOffset):
      common.queueNotifyOffset = value;
      break;  // for tests
    case offsetof(PciCommonConfig, queueEnable): {
      auto join = [&queue](size_t i) { return uint64_t{queue.addresses[i + 1]} << 32 | queue.addresses[i]; };
      (void)device.enableQueue(common.queueSelect, queue.size, {join(0), join(2), join(4)}, queue.vector);
      break;
    }
    default:
      if (offset >= offsetof(PciCommonConfig, queueDescLow) && offset % 4 == 0) {
        queue.addresses[(offset - offsetof(PciCommonConfig, queueDescLow)) / 4] = value;
      } else {
        refusedAccesses++;
      }
  }
}

}  // namespace nexus
