#include "libs/nexus-net-os/frame/frame-ring.h"

#include <kj/debug.h>

#include <atomic>
#include <bit>

namespace nexus {

using ring::RingControl;
using ring::RingDescriptor;
using ring::RingHeader;

namespace {

// Shared memory is touched in whole atomic words, so that the compiler can neither read a field twice nor invent a
// read.
constexpr size_t WORDS = sizeof(RingDescriptor) / sizeof(uint64_t);
using Words = std::array<uint64_t, WORDS>;

RingDescriptor loadDescriptor(RingDescriptor& shared) {
  Words words;
  auto* source = reinterpret_cast<uint64_t*>(&shared);
  for (size_t i = 0; i < WORDS; i++) words[i] = std::atomic_ref<uint64_t>(source[i]).load(std::memory_order_relaxed);
  return std::bit_cast<RingDescriptor>(words);
}

void storeDescriptor(RingDescriptor& shared, const RingDescriptor& value) {
  auto words = std::bit_cast<Words>(value);
  auto* target = reinterpret_cast<uint64_t*>(&shared);
  for (size_t i = 0; i < WORDS; i++) std::atomic_ref<uint64_t>(target[i]).store(words[i], std::memory_order_relaxed);
}

RingHeader& headerOf(kj::ArrayPtr<kj::byte> memory, RingDirection direction) {
  size_t offset = direction == RingDirection::TO_STACK ? ring::TO_STACK_HEADER : ring::TO_DRIVER_HEADER;
  return *reinterpret_cast<RingHeader*>(memory.slice(offset, offset + sizeof(RingHeader)).begin());
}

kj::ArrayPtr<RingDescriptor> entriesOf(kj::ArrayPtr<kj::byte> memory, RingDirection direction, uint32_t count) {
  size_t offset = direction == RingDirection::TO_STACK ? ring::TO_STACK_ENTRIES : ring::toDriverEntries(count);
  auto bytes = memory.slice(offset, offset + count * sizeof(RingDescriptor));
  return kj::arrayPtr(reinterpret_cast<RingDescriptor*>(bytes.begin()), count);
}

bool isKnownGso(uint8_t gso) {
  switch (static_cast<FrameMeta::Gso>(gso)) {
    case FrameMeta::Gso::NONE:
    case FrameMeta::Gso::TCP_V4:
    case FrameMeta::Gso::UDP:
    case FrameMeta::Gso::TCP_V6:
      return true;
  }
  return false;
}

bool carriesFrame(ring::Kind kind) {
  return kind == ring::Kind::RECEIVED || kind == ring::Kind::TRANSMIT;
}

// What is wrong with one descriptor of a ring in that direction, or null.
kj::Maybe<kj::StringPtr> findFault(const RingDescriptor& d, RingDirection direction, const BufferGeometry& geometry) {
  bool isReceiveKind;
  switch (d.kind) {
    case ring::Kind::RECEIVED:
    case ring::Kind::GRANTED:
      if (direction != RingDirection::TO_STACK) return "a descriptor kind that belongs to the other ring"_kj;
      isReceiveKind = d.kind == ring::Kind::RECEIVED;
      break;
    case ring::Kind::TRANSMIT:
    case ring::Kind::RETURNED:
      if (direction != RingDirection::TO_DRIVER) return "a descriptor kind that belongs to the other ring"_kj;
      isReceiveKind = d.kind == ring::Kind::RETURNED;
      break;
    default:
      return "an unknown descriptor kind"_kj;
  }
  if (!(isReceiveKind ? geometry.isReceive(d.buffer) : geometry.isTransmit(d.buffer))) {
    return "a buffer number that is none of this kind"_kj;
  }
  if (carriesFrame(d.kind)) {
    if (!isInside({d.buffer, d.offset, d.length}, geometry)) return "an offset or length outside the buffer"_kj;
  } else if (d.offset != 0 || d.length != 0 || d.flags != 0) {
    return "a frame where only a buffer changes hands"_kj;
  }
  if ((d.flags & ~ring::FLAG_MORE) != 0) return "an unknown flag"_kj;
  if ((d.metaFlags & ~(FrameMeta::NEEDS_CHECKSUM | FrameMeta::DATA_VALID)) != 0) return "an unknown metadata flag"_kj;
  if (!isKnownGso(d.gso)) return "an unknown segmentation type"_kj;
  for (uint8_t byte : d.reserved) {
    if (byte != 0) return "a reserved field that is not zero"_kj;
  }
  return nullptr;
}

}  // namespace

kj::Maybe<kj::StringPtr> findMetaFault(const FrameMeta& meta, size_t length) {
  constexpr size_t SUM = sizeof(uint16_t);
  if ((meta.flags & FrameMeta::NEEDS_CHECKSUM) != 0 &&
      static_cast<size_t>(meta.csumStart) + meta.csumOffset + SUM > length) {
    return "a checksum position outside the frame"_kj;
  }
  if (meta.gso != FrameMeta::Gso::NONE) {
    if (meta.gsoSize == 0) return "segmentation into segments of no bytes"_kj;
    if (meta.headerLength > length) return "headers longer than the frame"_kj;
  }
  return nullptr;
}

void writeRingControl(kj::ArrayPtr<kj::byte> memory, const BufferGeometry& geometry) {
  KJ_REQUIRE(geometry.isValid() && memory.size() >= ring::ringMemorySize(geometry.ringEntries()));
  RingControl control{};
  control.magic = ring::MAGIC;
  control.version = ring::VERSION;
  control.bufferSize = ring::BUFFER_SIZE;
  control.receiveBuffers = geometry.receive;
  control.transmitBuffers = geometry.transmit;
  control.entries = geometry.ringEntries();
  memcpy(memory.begin(), &control, sizeof(control));
}

BufferGeometry readRingControl(kj::ArrayPtr<kj::byte> memory) {
  KJ_REQUIRE(memory.size() >= ring::ringMemorySize(1), "the ring memory is too short", memory.size());
  RingControl control;
  memcpy(&control, memory.begin(), sizeof(control));
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the copy is made here, and only here
  KJ_REQUIRE(control.magic == ring::MAGIC, "the ring memory does not begin with its magic number");
  KJ_REQUIRE(control.version == ring::VERSION, "the ring memory has a layout that this version does not know",
             control.version);
  BufferGeometry geometry{control.receiveBuffers, control.transmitBuffers};
  KJ_REQUIRE(geometry.isValid() && control.bufferSize == ring::BUFFER_SIZE &&
                 control.entries == geometry.ringEntries() && control.reserved == 0,
             "the geometry in the ring memory is not valid", control.receiveBuffers, control.transmitBuffers,
             control.bufferSize, control.entries);
  KJ_REQUIRE(memory.size() == ring::ringMemorySize(control.entries),
             "the ring memory has another size than its geometry", memory.size());
  return geometry;
}

RingProducer::RingProducer(kj::ArrayPtr<kj::byte> memory, RingDirection direction, const BufferGeometry& geometry)
    : header(headerOf(memory, direction)), entries(entriesOf(memory, direction, geometry.ringEntries())) {}

void RingProducer::push(const RingEntry& entry) {
  RingDescriptor d{};
  d.kind = entry.kind;
  d.flags = entry.more ? ring::FLAG_MORE : 0;
  d.metaFlags = entry.meta.flags;
  d.gso = static_cast<uint8_t>(entry.meta.gso);
  d.buffer = entry.segment.buffer;
  d.offset = static_cast<uint16_t>(entry.segment.offset);
  d.length = static_cast<uint16_t>(entry.segment.length);
  d.csumStart = entry.meta.csumStart;
  d.csumOffset = entry.meta.csumOffset;
  d.gsoSize = entry.meta.gsoSize;
  d.headerLength = entry.meta.headerLength;
  storeDescriptor(entries[produced++ & (entries.size() - 1)], d);
}

void RingProducer::publish() {
  std::atomic_ref<uint32_t>(header.produced).store(produced, std::memory_order_release);
}

bool RingProducer::publishAndWake() {
  publish();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  std::atomic_ref<uint32_t> sleeps(header.consumerSleeps);
  if (sleeps.load(std::memory_order_relaxed) == 0) return false;
  sleeps.store(0, std::memory_order_relaxed);
  return true;
}

RingConsumer::RingConsumer(kj::ArrayPtr<kj::byte> memory, RingDirection direction, const BufferGeometry& geometry)
    : header(headerOf(memory, direction)),
      entries(entriesOf(memory, direction, geometry.ringEntries())),
      direction(direction),
      geometry(geometry) {}

RingConsumer::Take RingConsumer::bad(kj::StringPtr why) {
  reason = why;
  return Take::BAD;
}

// False when nothing is announced, or the index is wrong (then there is a fault).
bool RingConsumer::hasNext() {
  if (reason.size() > 0) return false;
  if (consumed != announced) return true;
  announced = std::atomic_ref<uint32_t>(header.produced).load(std::memory_order_acquire);
  if (announced - consumed > entries.size()) bad("a ring index that jumps"_kj);
  return consumed != announced && reason.size() == 0;
}

bool RingConsumer::nextIs(ring::Kind kind) {
  return hasNext() && loadDescriptor(entries[consumed & (entries.size() - 1)]).kind == kind;
}

RingConsumer::Take RingConsumer::take(RingEntry& out) {
  if (!hasNext()) return reason.size() > 0 ? Take::BAD : Take::EMPTY;
  auto d = loadDescriptor(entries[consumed & (entries.size() - 1)]);
  auto fault = findFault(d, direction, geometry);
  KJ_IF_MAYBE (why, fault) return bad(*why);
  consumed++;
  out = {d.kind,
         (d.flags & ring::FLAG_MORE) != 0,
         {d.buffer, d.offset, d.length},
         {d.metaFlags, static_cast<FrameMeta::Gso>(d.gso), d.gsoSize, d.headerLength, d.csumStart, d.csumOffset}};
  return Take::TAKEN;
}

bool RingConsumer::prepareSleep() {
  if (consumed != announced) return false;
  std::atomic_ref<uint32_t>(header.consumerSleeps).store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (std::atomic_ref<uint32_t>(header.produced).load(std::memory_order_acquire) == consumed) return true;
  awake();
  return false;
}

void RingConsumer::awake() {
  std::atomic_ref<uint32_t>(header.consumerSleeps).store(0, std::memory_order_relaxed);
}

}  // namespace nexus
