#pragma once
// The memory that virtionetd and netstackd share: what lies where. Two memfds: one holds nothing but frame buffers
// (2048 bytes each, the receive buffers first), the other is laid out here. Knows nothing of mappings, descriptors or
// who may write what; frame-ring is the only code that reads and writes these structures.
//
//   ring memfd   page 0   RingControl   written once by the driver before it shares the memory
//                page 1   RingHeader    of to-stack    driver produces, stack consumes
//                page 2   RingHeader    of to-driver   stack produces, driver consumes
//                page 3.. RingDescriptor[entries] of to-stack, then of to-driver
//
// Every buffer is at each moment with exactly one of the two sides, and naming it in a ring is what hands it over:
//
//   to-stack   RECEIVED   a received frame lies in this receive buffer   | GRANTED   this transmit buffer is the
//   stack's to fill to-driver  TRANSMIT   send what lies in this transmit buffer         | RETURNED  this receive
//   buffer may be filled again
//
// At the start of an attachment the driver has all buffers; it grants the transmit buffers through the ring.
// A ring has at least as many entries as there are buffers, and a buffer is in a ring at most once, so an honest pair
// never overflows it: no consumer index is shared and no producer ever waits. A consumer that does not consume harms
// itself alone.
#include <cstddef>
#include <cstdint>

namespace nexus::ring {

constexpr uint64_t MAGIC = 0x31474e495258454eull;  // "NEXRING1", little-endian
constexpr uint32_t VERSION = 1;
constexpr size_t PAGE = 4096;           // bytes
constexpr uint32_t BUFFER_SIZE = 2048;  // bytes
constexpr uint32_t MIN_BUFFERS = 16;    // of each kind
constexpr uint32_t MAX_BUFFERS = 4096;  // of each kind
constexpr size_t CACHE_LINE = 64;       // bytes

// How much there is of everything. Checked by both sides before use.
struct RingControl {
  uint64_t magic;
  uint32_t version;
  uint32_t bufferSize;       // bytes
  uint32_t receiveBuffers;   // ids 0 .. receiveBuffers-1; a power of two
  uint32_t transmitBuffers;  // ids receiveBuffers .. receiveBuffers+transmitBuffers-1; a power of two
  uint32_t entries;          // of each ring; a power of two, at least all buffers
  uint32_t reserved;         // 0
};
static_assert(sizeof(RingControl) == 32);

struct RingHeader {
  // How many descriptors were ever produced, modulo 2^32. Written by the producer with release, read by the consumer
  // with acquire.
  alignas(CACHE_LINE) uint32_t produced;

  // 1 while the consumer waits for its doorbell. Written by the consumer before its last look at `produced`; cleared by
  // whoever sees it first: the producer that rings the bell, or the consumer that found work after all.
  alignas(CACHE_LINE) uint32_t consumerSleeps;
};
static_assert(sizeof(RingHeader) == 2 * CACHE_LINE);
static_assert(offsetof(RingHeader, consumerSleeps) == CACHE_LINE);

enum class Kind : uint8_t {
  RECEIVED = 1,  // to-stack
  GRANTED = 2,   // to-stack
  TRANSMIT = 3,  // to-driver
  RETURNED = 4,  // to-driver
};

constexpr uint8_t FLAG_MORE = 1;  // RECEIVED, TRANSMIT: the next descriptor continues this frame

// One buffer changing hands. A frame of several buffers is several descriptors in a row, all but the last with
// FLAG_MORE; the metadata (virtio_net_hdr, virtio 1.1, 5.1.6, host order) is that of its first descriptor and zero in
// the others, as in GRANTED and RETURNED.
struct RingDescriptor {
  Kind kind;
  uint8_t flags;
  uint8_t metaFlags;  // FrameMeta::NEEDS_CHECKSUM, DATA_VALID
  uint8_t gso;        // FrameMeta::Gso
  uint32_t buffer;    // id
  uint16_t offset;    // bytes from the start of the buffer
  uint16_t length;    // bytes; 0 for GRANTED and RETURNED
  uint16_t csumStart;
  uint16_t csumOffset;
  uint16_t gsoSize;
  uint16_t headerLength;
  uint8_t reserved[12];  // 0
};
static_assert(sizeof(RingDescriptor) == 32);
static_assert(offsetof(RingDescriptor, buffer) == 4);
static_assert(offsetof(RingDescriptor, offset) == 8);
static_assert(offsetof(RingDescriptor, csumStart) == 12);
static_assert(offsetof(RingDescriptor, gsoSize) == 16);

constexpr size_t TO_STACK_HEADER = PAGE;
constexpr size_t TO_DRIVER_HEADER = 2 * PAGE;
constexpr size_t TO_STACK_ENTRIES = 3 * PAGE;

constexpr size_t toDriverEntries(uint32_t entries) {
  return TO_STACK_ENTRIES + entries * sizeof(RingDescriptor);
}

// Bytes of the ring memfd.
constexpr size_t ringMemorySize(uint32_t entries) {
  size_t used = toDriverEntries(entries) + entries * sizeof(RingDescriptor);
  return (used + PAGE - 1) / PAGE * PAGE;
}

}  // namespace nexus::ring
