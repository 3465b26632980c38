#pragma once
// A FakeTransport behind PCI registers: configuration space with a capability list, and one BAR with the structures of
// virtio 1.1, 4.1.4. For the tests of pci-transport and of the broker. The configuration space is open to be broken.
#include <array>

#include "libs/nexus-net-os/virtio/fake-transport.h"
#include "libs/nexus-net-os/virtio/pci-transport.h"

namespace nexus {

class FakePci final : public PciFunction {
 public:
  static constexpr uint8_t BAR = 4;
  static constexpr uint64_t BAR_SIZE = 0x4000;
  static constexpr uint32_t COMMON = 0, ISR = 0x1000, DEVICE = 0x2000, NOTIFY = 0x3000;
  static constexpr uint32_t MULTIPLIER = 4;

  explicit FakePci(FakeTransport& device);
  KJ_DISALLOW_COPY_AND_MOVE(FakePci);

  std::array<kj::byte, 256> config{};

  // Where addCapability() put the capability of a type.
  kj::byte& capability(uint8_t type, size_t offset) { return config[at[type] + offset]; }

  template <typename T>
  void poke(size_t offset, T value) {
    memcpy(config.data() + offset, &value, sizeof(value));
  }

  // Registers of the BAR.
  uint32_t read(uint64_t offset, size_t width);
  void write(uint64_t offset, size_t width, uint32_t value);

  uint64_t refusedAccesses = 0;  // outside every structure, or of the wrong width

  // implements PciFunction ----
  void readConfig(uint16_t offset, kj::ArrayPtr<kj::byte> out) override;
  kj::Maybe<kj::Own<RegisterWindow>> bar(uint8_t index) override;

 private:
  class Window;
  FakeTransport& device;
  std::array<uint8_t, 8> at{};
  virtio::PciCommonConfig common{};
  uint64_t driverFeatures = 0;
  struct Queue {
    uint16_t size = 0, vector = virtio::NO_VECTOR;
    uint32_t addresses[6]{};
  } queues[2];

  void addCapability(uint8_t where, uint8_t next, uint8_t type, uint32_t offset, uint32_t size);
  uint32_t readCommon(size_t offset);
  void writeCommon(size_t offset, uint32_t value);
};

}  // namespace nexus
