#pragma once
// The bytes that driver and device share, and the numbers they agree on: split virtqueue, virtio-net header and
// configuration, virtio-pci structures. Section numbers are those of the OASIS virtio 1.1 specification. Little-endian
// throughout (1.4), which is the byte order of every machine this project runs on. Knows no behaviour.
#include <bit>
#include <cstddef>
#include <cstdint>

namespace nexus::virtio {

static_assert(std::endian::native == std::endian::little, "the wire structs below are used in place");

// 2.1 Device status field.
namespace status {
inline constexpr uint8_t RESET = 0;
inline constexpr uint8_t ACKNOWLEDGE = 1;
inline constexpr uint8_t DRIVER = 2;
inline constexpr uint8_t DRIVER_OK = 4;
inline constexpr uint8_t FEATURES_OK = 8;
inline constexpr uint8_t NEEDS_RESET = 64;
inline constexpr uint8_t FAILED = 128;
}  // namespace status

// 2.2, 5.1.3 and 6: feature bits.
namespace feature {
inline constexpr uint64_t NET_MAC = uint64_t{1} << 5;
inline constexpr uint64_t NET_MRG_RXBUF = uint64_t{1} << 15;
inline constexpr uint64_t NET_STATUS = uint64_t{1} << 16;
inline constexpr uint64_t RING_EVENT_IDX = uint64_t{1} << 29;
inline constexpr uint64_t VERSION_1 = uint64_t{1} << 32;
inline constexpr uint64_t ACCESS_PLATFORM = uint64_t{1} << 33;  // the device honours the IOMMU
}  // namespace feature

// 4.1.5.1.2: a vector register reads back as this when the device could not take the vector.
inline constexpr uint16_t NO_VECTOR = 0xffff;

// 2.6.7.1, 2.6.8.1: with EVENT_IDX, whether moving an index from `before` to `after` passes the point the other side
// named.
constexpr bool passesEvent(uint16_t event, uint16_t after, uint16_t before) {
  return static_cast<uint16_t>(after - event - 1) < static_cast<uint16_t>(after - before);
}

// 2.6.5 The Virtqueue Descriptor Table.
struct VirtqDesc {
  static constexpr uint16_t NEXT = 1;   // `next` is valid
  static constexpr uint16_t WRITE = 2;  // the device writes; else it reads

  uint64_t addr;  // as the device sees it
  uint32_t len;
  uint16_t flags;
  uint16_t next;
};
static_assert(sizeof(VirtqDesc) == 16 && offsetof(VirtqDesc, len) == 8 && offsetof(VirtqDesc, next) == 14);

// 2.6.6 The Virtqueue Available Ring, without its ring[] and used_event, which follow.
struct VirtqAvail {
  static constexpr uint16_t NO_INTERRUPT = 1;

  uint16_t flags;
  uint16_t idx;
};
static_assert(sizeof(VirtqAvail) == 4);

// 2.6.8 The Virtqueue Used Ring, without its ring[] and avail_event, which follow.
struct VirtqUsed {
  static constexpr uint16_t NO_NOTIFY = 1;

  uint16_t flags;
  uint16_t idx;
};
static_assert(sizeof(VirtqUsed) == 4);

struct VirtqUsedElem {
  uint32_t id;   // head of the used chain
  uint32_t len;  // bytes written to it
};
static_assert(sizeof(VirtqUsedElem) == 8);

// Where the three parts of a split virtqueue lie, as the device sees them (2.6.2).
struct VirtqAddresses {
  uint64_t descriptors;
  uint64_t avail;
  uint64_t used;
};

// 5.1.6: precedes every frame, in both directions; always 12 bytes with VERSION_1.
struct NetHeader {
  static constexpr uint8_t NEEDS_CSUM = 1;
  static constexpr uint8_t DATA_VALID = 2;

  uint8_t flags;
  uint8_t gsoType;
  uint16_t hdrLen;
  uint16_t gsoSize;
  uint16_t csumStart;
  uint16_t csumOffset;
  uint16_t numBuffers;
};
static_assert(sizeof(NetHeader) == 12 && offsetof(NetHeader, numBuffers) == 10);

// 5.1.4 Device configuration layout, as far as the accepted features make it exist.
struct NetConfig {
  static constexpr uint16_t LINK_UP = 1;

  uint8_t mac[6];
  uint16_t status;
};
static_assert(sizeof(NetConfig) == 8 && offsetof(NetConfig, status) == 6);

// 5.1.2 Virtqueues of a network device without multiqueue.
inline constexpr uint16_t RECEIVE_QUEUE = 0;
inline constexpr uint16_t TRANSMIT_QUEUE = 1;

// 4.1.4 Virtio Structure PCI Capabilities (vendor-specific capability).
struct PciCapability {
  static constexpr uint8_t VENDOR_SPECIFIC = 0x09;
  static constexpr uint8_t COMMON = 1;
  static constexpr uint8_t NOTIFY = 2;  // followed by the u32 notify_off_multiplier
  static constexpr uint8_t ISR = 3;
  static constexpr uint8_t DEVICE = 4;

  uint8_t vendor;
  uint8_t next;
  uint8_t length;
  uint8_t type;
  uint8_t bar;
  uint8_t padding[3];
  uint32_t offset;
  uint32_t size;
};
static_assert(sizeof(PciCapability) == 16 && offsetof(PciCapability, offset) == 8);

// 4.1.4.3 Common configuration structure layout.
struct PciCommonConfig {
  uint32_t deviceFeatureSelect;
  uint32_t deviceFeature;
  uint32_t driverFeatureSelect;
  uint32_t driverFeature;
  uint16_t configVector;
  uint16_t queueCount;
  uint8_t deviceStatus;
  uint8_t configGeneration;
  uint16_t queueSelect;
  uint16_t queueSize;
  uint16_t queueVector;
  uint16_t queueEnable;
  uint16_t queueNotifyOffset;
  uint32_t queueDescLow, queueDescHigh;
  uint32_t queueAvailLow, queueAvailHigh;
  uint32_t queueUsedLow, queueUsedHigh;
};
static_assert(sizeof(PciCommonConfig) == 56 && offsetof(PciCommonConfig, deviceStatus) == 20 &&
              offsetof(PciCommonConfig, queueDescLow) == 32 && offsetof(PciCommonConfig, queueUsedHigh) == 52);

// PCI identity of a virtio-net device (4.1.2): the modern id, and the transitional one.
inline constexpr uint16_t PCI_VENDOR = 0x1af4;
inline constexpr uint16_t PCI_DEVICE_NET_MODERN = 0x1041;
inline constexpr uint16_t PCI_DEVICE_NET_TRANSITIONAL = 0x1000;

}  // namespace nexus::virtio
