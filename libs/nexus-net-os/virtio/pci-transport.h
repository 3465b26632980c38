#pragma once
// virtio over PCI, modern structures (virtio 1.1, 4.1): finds them through the capability list, checks that they lie
// within their BARs, and drives the device through them. Works on any register interface, so that it can be tested
// without hardware and so that the broker, which has no mapping, can ask a device for its features. Owned by a backend.
// Knows nothing of VFIO or of networking.
#include <kj/vector.h>

#include "libs/nexus-net-os/virtio/virtio-transport.h"

namespace nexus {

// A range of device registers, accessed in their natural width (4.1.3.1). Offsets are within size().
class RegisterWindow {
 public:
  virtual ~RegisterWindow() noexcept(false) = default;

  virtual uint64_t size() const = 0;
  virtual uint8_t read8(uint64_t offset) = 0;
  virtual uint16_t read16(uint64_t offset) = 0;
  virtual uint32_t read32(uint64_t offset) = 0;
  virtual void write8(uint64_t offset, uint8_t value) = 0;
  virtual void write16(uint64_t offset, uint16_t value) = 0;
  virtual void write32(uint64_t offset, uint32_t value) = 0;
};

// Registers that are mapped into this process.
class MappedRegisters final : public RegisterWindow {
 public:
  explicit MappedRegisters(kj::Array<kj::byte> mapping) : mapping(kj::mv(mapping)) {}

  uint64_t size() const override { return mapping.size(); }
  uint8_t read8(uint64_t offset) override { return *at<uint8_t>(offset); }
  uint16_t read16(uint64_t offset) override { return *at<uint16_t>(offset); }
  uint32_t read32(uint64_t offset) override { return *at<uint32_t>(offset); }
  void write8(uint64_t offset, uint8_t value) override { *at<uint8_t>(offset) = value; }
  void write16(uint64_t offset, uint16_t value) override { *at<uint16_t>(offset) = value; }
  void write32(uint64_t offset, uint32_t value) override { *at<uint32_t>(offset) = value; }

 private:
  kj::Array<kj::byte> mapping;

  template <typename T>
  volatile T* at(uint64_t offset) {
    return reinterpret_cast<volatile T*>(mapping.begin() + offset);
  }
};

// One PCI function while it is being looked at.
class PciFunction {
 public:
  virtual ~PciFunction() noexcept(false) = default;

  // The first 256 bytes of the configuration space.
  virtual void readConfig(uint16_t offset, kj::ArrayPtr<kj::byte> out) = 0;

  // The registers behind a BAR, 0 to 5; null when the BAR does not exist or cannot be reached.
  virtual kj::Maybe<kj::Own<RegisterWindow>> bar(uint8_t index) = 0;
};

class PciTransport final : public VirtioTransport {
 public:
  // FAILED, naming the defect, when the function is not a modern virtio device whose structures fit its BARs.
  // `function` is not needed afterwards.
  explicit PciTransport(PciFunction& function);
  KJ_DISALLOW_COPY_AND_MOVE(PciTransport);

  // implements VirtioTransport ----
  uint8_t readStatus() override;
  void writeStatus(uint8_t status) override;
  uint64_t deviceFeatures() override;
  void acceptFeatures(uint64_t features) override;
  uint16_t maxQueueSize(uint16_t queue) override;
  bool enableQueue(uint16_t queue, uint16_t size, const virtio::VirtqAddresses& at, uint16_t vector) override;
  bool setConfigVector(uint16_t vector) override;
  void notify(uint16_t queue) override;
  void readConfig(uint32_t offset, kj::ArrayPtr<kj::byte> out) override;
  uint8_t configGeneration() override;

 private:
  // One of the structures of 4.1.4: a part of a BAR.
  struct Structure {
    RegisterWindow* window = nullptr;
    uint64_t offset = 0;
    uint64_t size = 0;
  };

  kj::Maybe<kj::Own<RegisterWindow>> windows[6];
  Structure common, notification, config;
  uint32_t notifyMultiplier = 0;
  kj::Vector<uint64_t> notifyOffsets;  // by queue, in the window of `notification`; set when the queue is enabled

  void findStructures(PciFunction& function);
  void take(PciFunction& function, uint8_t at, const virtio::PciCapability& capability);
  RegisterWindow& window(PciFunction& function, uint8_t bar);
  uint64_t field(size_t offset) const { return common.offset + offset; }
  void write64(size_t offset, uint64_t value);
};

}  // namespace nexus
