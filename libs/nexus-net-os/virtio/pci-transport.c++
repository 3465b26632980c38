#include "libs/nexus-net-os/virtio/pci-transport.h"

#include <kj/debug.h>

#include <cstring>

namespace nexus {

namespace {

using virtio::PciCapability;
using virtio::PciCommonConfig;

constexpr uint16_t PCI_STATUS = 0x06;
constexpr uint16_t PCI_STATUS_CAPABILITIES = 0x10;
constexpr uint16_t PCI_CAPABILITY_POINTER = 0x34;
constexpr size_t PCI_CONFIG_BYTES = 256;
constexpr kj::uint MAX_CAPABILITIES = 48;  // as many as fit between the header and the end of the configuration space
constexpr uint8_t BARS = 6;
constexpr uint64_t NOT_ENABLED = ~uint64_t{0};

template <typename T>
T readPci(PciFunction& function, size_t offset) {
  T value;
  KJ_REQUIRE(offset + sizeof(T) <= PCI_CONFIG_BYTES, "a PCI capability leaves the configuration space", offset);
  function.readConfig(offset, kj::arrayPtr(reinterpret_cast<kj::byte*>(&value), sizeof(value)));
  return value;
}

}  // namespace

PciTransport::PciTransport(PciFunction& function) {
  findStructures(function);
  KJ_REQUIRE(common.window != nullptr && notification.window != nullptr && config.window != nullptr,
             "not a modern virtio device: a virtio-pci structure is missing; in QEMU give it disable-legacy=on");
  KJ_REQUIRE(common.size >= sizeof(PciCommonConfig) && common.offset % 4 == 0,
             "the common configuration structure is cut off", common.size);
  KJ_REQUIRE(notification.offset % 2 == 0 && notifyMultiplier % 2 == 0, "the notification structure is not aligned");
}

void PciTransport::findStructures(PciFunction& function) {
  if ((readPci<uint16_t>(function, PCI_STATUS) & PCI_STATUS_CAPABILITIES) == 0) return;
  uint8_t at = readPci<uint8_t>(function, PCI_CAPABILITY_POINTER) & ~3;
  for (kj::uint count = 0; at != 0; count++) {
    KJ_REQUIRE(count < MAX_CAPABILITIES, "the PCI capability list loops");
    auto vendor = readPci<uint8_t>(function, at);
    if (vendor == PciCapability::VENDOR_SPECIFIC) take(function, at, readPci<PciCapability>(function, at));
    at = readPci<uint8_t>(function, at + 1) & ~3;
  }
}

// 4.1.4: the first structure of a type that is usable counts.
void PciTransport::take(PciFunction& function, uint8_t at, const PciCapability& capability) {
  Structure* place;
  switch (capability.type) {
    case PciCapability::COMMON:
      place = &common;
      break;
    case PciCapability::NOTIFY:
      place = &notification;
      break;
    case PciCapability::DEVICE:
      place = &config;
      break;
    default:
      return;  // ISR is not used with MSI-X; others may exist
  }
  if (place->window != nullptr || capability.bar >= BARS) return;
  auto& window = this->window(function, capability.bar);
  uint64_t end = uint64_t{capability.offset} + capability.size;
  KJ_REQUIRE(end <= window.size(), "a virtio-pci structure leaves its BAR", capability.type, capability.bar, end,
             window.size());
  if (place == &notification) notifyMultiplier = readPci<uint32_t>(function, size_t{at} + sizeof(PciCapability));
  *place = {&window, capability.offset, capability.size};
}

RegisterWindow& PciTransport::window(PciFunction& function, uint8_t bar) {
  if (windows[bar] == nullptr) windows[bar] = function.bar(bar);
  return *KJ_REQUIRE_NONNULL(windows[bar], "a virtio-pci structure lies in a BAR that does not exist", bar);
}

uint8_t PciTransport::readStatus() {
  return common.window->read8(field(offsetof(PciCommonConfig, deviceStatus)));
}

void PciTransport::writeStatus(uint8_t status) {
  common.window->write8(field(offsetof(PciCommonConfig, deviceStatus)), status);
}

uint64_t PciTransport::deviceFeatures() {
  uint64_t features = 0;
  for (uint32_t half = 0; half < 2; half++) {
    common.window->write32(field(offsetof(PciCommonConfig, deviceFeatureSelect)), half);
    features |= uint64_t{common.window->read32(field(offsetof(PciCommonConfig, deviceFeature)))} << (32 * half);
  }
  return features;
}

void PciTransport::acceptFeatures(uint64_t features) {
  for (uint32_t half = 0; half < 2; half++) {
    common.window->write32(field(offsetof(PciCommonConfig, driverFeatureSelect)), half);
    common.window->write32(field(offsetof(PciCommonConfig, driverFeature)),
                           static_cast<uint32_t>(features >> (32 * half)));
  }
}

uint16_t PciTransport::maxQueueSize(uint16_t queue) {
  if (queue >= common.window->read16(field(offsetof(PciCommonConfig, queueCount)))) return 0;
  common.window->write16(field(offsetof(PciCommonConfig, queueSelect)), queue);
  return common.window->read16(field(offsetof(PciCommonConfig, queueSize)));
}

bool PciTransport::enableQueue(uint16_t queue, uint16_t size, const virtio::VirtqAddresses& at, uint16_t vector) {
  auto& registers = *common.window;
  registers.write16(field(offsetof(PciCommonConfig, queueSelect)), queue);
  registers.write16(field(offsetof(PciCommonConfig, queueSize)), size);
  write64(offsetof(PciCommonConfig, queueDescLow), at.descriptors);
  write64(offsetof(PciCommonConfig, queueAvailLow), at.avail);
  write64(offsetof(PciCommonConfig, queueUsedLow), at.used);
  registers.write16(field(offsetof(PciCommonConfig, queueVector)), vector);
  if (registers.read16(field(offsetof(PciCommonConfig, queueVector))) == virtio::NO_VECTOR) return false;

  // 4.1.4.4: where to write when this queue has something new.
  uint64_t notifyAt =
      uint64_t{registers.read16(field(offsetof(PciCommonConfig, queueNotifyOffset)))} * notifyMultiplier;
  KJ_REQUIRE(notifyAt + sizeof(uint16_t) <= notification.size, "a queue's notification address leaves its structure",
             queue, notifyAt, notification.size);
  while (notifyOffsets.size() <= queue) notifyOffsets.add(NOT_ENABLED);
  notifyOffsets[queue] = notification.offset + notifyAt;

  registers.write16(field(offsetof(PciCommonConfig, queueEnable)), 1);
  return true;
}

bool PciTransport::setConfigVector(uint16_t vector) {
  common.window->write16(field(offsetof(PciCommonConfig, configVector)), vector);
  return common.window->read16(field(offsetof(PciCommonConfig, configVector))) != virtio::NO_VECTOR;
}

void PciTransport::notify(uint16_t queue) {
  KJ_REQUIRE(queue < notifyOffsets.size() && notifyOffsets[queue] != NOT_ENABLED, "the queue is not enabled", queue);
  notification.window->write16(notifyOffsets[queue], queue);
}

void PciTransport::readConfig(uint32_t offset, kj::ArrayPtr<kj::byte> out) {
  KJ_REQUIRE(uint64_t{offset} + out.size() <= config.size, "device configuration that does not exist", offset,
             out.size());
  for (size_t i = 0; i < out.size(); i++) out[i] = config.window->read8(config.offset + offset + i);
}

uint8_t PciTransport::configGeneration() {
  return common.window->read8(field(offsetof(PciCommonConfig, configGeneration)));
}

// 4.1.3.1: 64-bit fields are accessed as two 32-bit halves.
void PciTransport::write64(size_t offset, uint64_t value) {
  common.window->write32(field(offset), static_cast<uint32_t>(value));
  common.window->write32(field(offset + 4), static_cast<uint32_t>(value >> 32));
}

}  // namespace nexus
