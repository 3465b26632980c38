#include "libs/nexus-net-os/virtio/virtio-net.h"

#include <kj/debug.h>

#include <bit>
#include <cstring>

#include "libs/nexus-net-os/virtio/virtio-handshake.h"

namespace nexus {

namespace {

namespace feature = virtio::feature;
namespace status = virtio::status;
using virtio::NetHeader;

constexpr uint64_t REQUIRED = feature::NET_MAC | feature::VERSION_1 | feature::ACCESS_PLATFORM;
constexpr uint64_t WANTED = feature::NET_STATUS | feature::NET_MRG_RXBUF | feature::RING_EVENT_IDX;

constexpr uint16_t CONFIG_VECTOR = 0;
constexpr uint16_t RECEIVE_VECTOR = 1;
constexpr uint16_t TRANSMIT_VECTOR = 2;

constexpr size_t ETHERNET_HEADER = 14;
constexpr kj::uint CONFIG_READS = 8;  // before the generation counter is called unstable

uint16_t queueSize(VirtioTransport& transport, uint16_t queue) {
  uint16_t offered = transport.maxQueueSize(queue);
  KJ_REQUIRE(offered >= VirtioNet::MIN_QUEUE_SIZE, "a queue of the virtio-net device is missing or too small", queue,
             offered);
  return std::bit_floor(kj::min(offered, VirtioNet::QUEUE_SIZE));
}

DmaSpan take(DmaSpan& from, size_t size) {
  KJ_REQUIRE(size <= from.size(), "too little ring memory for the driver", size, from.size());
  auto taken = from.slice(0, size);
  from = from.slice(size, from.size());
  return taken;
}

}  // namespace

size_t VirtioNet::ringMemorySize() {
  return 2 * Virtq::memorySize(QUEUE_SIZE) + sizeof(NetHeader) * QUEUE_SIZE;
}

// Start and end ----

kj::Promise<kj::Own<VirtioNet>> VirtioNet::start(VirtioTransport& transport, VirtioInterrupts interrupts,
                                                 const Memory& memory, kj::Timer& timer, VirtioNetCounters& counters) {
  return tryStart(transport, kj::mv(interrupts), memory, timer, counters)
      .catch_([&transport, &counters](kj::Exception&& exception) -> kj::Own<VirtioNet> {
        counters[DeviceFault::HANDSHAKE]++;
        transport.writeStatus(status::FAILED);
        kj::throwFatalException(kj::mv(exception));
      });
}

kj::Promise<kj::Own<VirtioNet>> VirtioNet::tryStart(VirtioTransport& transport, VirtioInterrupts interrupts,
                                                    Memory memory, kj::Timer& timer, VirtioNetCounters& counters) {
  uint64_t features = co_await negotiateFeatures(transport, timer, REQUIRED, WANTED);
  auto net = kj::heap<VirtioNet>(Private(), transport, kj::mv(interrupts), memory, timer, counters, features);
  net->bringUp();
  co_return kj::mv(net);
}

VirtioNet::VirtioNet(Private, VirtioTransport& transport, VirtioInterrupts interruptSources, const Memory& layout,
                     kj::Timer& timer, VirtioNetCounters& counters, uint64_t features)
    : transport(transport),
      interrupts(kj::mv(interruptSources)),
      memory(layout),
      timer(timer),
      counters(counters),
      accepted(features),
      bufferCount(layout.buffers.size() / layout.bufferSize),
      receive(queueSize(transport, virtio::RECEIVE_QUEUE), take(memory.rings, Virtq::memorySize(QUEUE_SIZE)),
              features & feature::RING_EVENT_IDX),
      transmitQueue(queueSize(transport, virtio::TRANSMIT_QUEUE), take(memory.rings, Virtq::memorySize(QUEUE_SIZE)),
                    features & feature::RING_EVENT_IDX),
      headers(take(memory.rings, sizeof(NetHeader) * QUEUE_SIZE)),
      receiveBuffers(kj::heapArray<BufferId>(receive.size())),
      transmitBuffers(kj::heapArray<BufferId>(transmitQueue.size())),
      provided(kj::heapArray<bool>(bufferCount)) {
  memset(provided.begin(), 0, provided.size());
}

// 3.1.1 steps 7 and 8.
void VirtioNet::bringUp() {
  KJ_REQUIRE(transport.setConfigVector(CONFIG_VECTOR) &&
                 transport.enableQueue(virtio::RECEIVE_QUEUE, receive.size(), receive.addresses(), RECEIVE_VECTOR) &&
                 transport.enableQueue(virtio::TRANSMIT_QUEUE, transmitQueue.size(), transmitQueue.addresses(),
                                       TRANSMIT_VECTOR),
             "the virtio-net device has no room for three interrupt vectors: in QEMU give it vectors=3 or more");
  readMac();
  transport.writeStatus(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK);
  linkUp = KJ_REQUIRE_NONNULL(readLinkUp(), "the virtio-net device's configuration never stands still");
  receive.disarm();
  transmitQueue.disarm();
  counters.initialisations++;
}

VirtioNet::~VirtioNet() noexcept(false) {
  transport.writeStatus(status::RESET);
}

void VirtioNet::readMac() {
  KJ_REQUIRE(readConfig(offsetof(virtio::NetConfig, mac), kj::arrayPtr(mac.bytes.data(), mac.bytes.size())),
             "the virtio-net device's configuration never stands still");
  KJ_REQUIRE(!mac.isGroup(), "the virtio-net device has a multicast address as its own", mac);
}

kj::Maybe<bool> VirtioNet::readLinkUp() {
  if ((accepted & feature::NET_STATUS) == 0) return true;
  uint16_t value = 0;
  if (!readConfig(offsetof(virtio::NetConfig, status),
                  kj::arrayPtr(reinterpret_cast<kj::byte*>(&value), sizeof(value)))) {
    return nullptr;
  }
  return (value & virtio::NetConfig::LINK_UP) != 0;
}

// 2.4.1: until the generation is the same before and after.
bool VirtioNet::readConfig(uint32_t offset, kj::ArrayPtr<kj::byte> out) {
  for (kj::uint i = 0; i < CONFIG_READS; i++) {
    auto generation = transport.configGeneration();
    transport.readConfig(offset, out);
    if (transport.configGeneration() == generation) return true;
  }
  return false;
}

// Lending ----

LinkState VirtioNet::linkState() {
  linkChanged = false;
  KJ_IF_MAYBE (fault, broken) return {.up = false, .reason = faultName(*fault)};
  if (!linkUp) return {.up = false, .reason = "no carrier"_kj};
  return {.up = true, .reason = nullptr};
}

bool VirtioNet::provide(BufferId buffer) {
  KJ_REQUIRE(buffer < bufferCount && !provided[buffer], "not a buffer that can be lent", buffer);
  if (broken != nullptr) return false;
  uint16_t head = receive.nextHead();
  Virtq::Element element{memory.buffers.iova() + uint64_t{buffer} * memory.bufferSize, memory.bufferSize, true};
  if (!receive.offer(kj::arrayPtr(&element, 1))) return false;
  receiveBuffers[head] = buffer;
  provided[buffer] = true;
  return true;
}

bool VirtioNet::transmit(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) {
  KJ_REQUIRE(segments.size() > 0 && segments.size() <= MAX_SEGMENTS, "a frame has 1 to 18 segments", segments.size());
  KJ_REQUIRE(meta == FrameMeta{}, "an offload was asked for that is not negotiated with the device");
  if (broken != nullptr) return false;

  uint16_t head = transmitQueue.nextHead();
  Virtq::Element chain[1 + MAX_SEGMENTS];
  chain[0] = {headers.iova() + sizeof(NetHeader) * head, sizeof(NetHeader), false};
  uint64_t bytes = 0;
  for (size_t i = 0; i < segments.size(); i++) {
    auto& segment = segments[i];
    KJ_REQUIRE(segment.buffer < bufferCount && segment.length > 0 && segment.offset <= memory.bufferSize &&
                   segment.length <= memory.bufferSize - segment.offset,
               "a segment outside its buffer", segment.buffer, segment.offset, segment.length);
    uint64_t start = uint64_t{segment.buffer} * memory.bufferSize + segment.offset;
    chain[1 + i] = {memory.buffers.iova() + start, segment.length, false};
    bytes += segment.length;
  }
  if (!transmitQueue.offer(kj::arrayPtr(chain, 1 + segments.size()))) {
    transmitBlocked = true;
    counters.transmitFull++;
    return false;
  }
  // 5.1.6.2: all zero without offloads, num_buffers included. Written after the offer, when `head` is known to be free,
  // and before the publication that lets the device read it.
  memset(headers.bytes().begin() + sizeof(NetHeader) * head, 0, sizeof(NetHeader));
  transmitBuffers[head] = segments[0].buffer;
  counters.bytesTransmitted += bytes;
  return true;
}

void VirtioNet::flush() {
  if (broken != nullptr) return;
  auto publish = [this](Virtq& queue, uint16_t number) {
    if (!queue.publish()) return;
    transport.notify(number);
    counters.notifications++;
  };
  publish(receive, virtio::RECEIVE_QUEUE);
  publish(transmitQueue, virtio::TRANSMIT_QUEUE);
}

// Getting back ----

size_t VirtioNet::poll(Events& events, size_t budget) {
  requireWorking();
  size_t count = reclaim(events, budget);
  requireWorking();
  while (count < budget && receiveOne(events)) count++;
  requireWorking();
  return count;
}

size_t VirtioNet::reclaim(Events& events, size_t budget) {
  size_t count = 0;
  while (count < budget) {
    KJ_IF_MAYBE (used, transmitQueue.take()) {
      transmitBlocked = false;
      counters.framesTransmitted++;
      count++;
      events.transmitted(transmitBuffers[used->head]);
    } else {
      break;
    }
  }
  KJ_IF_MAYBE (fault, transmitQueue.fault()) fail(*fault);
  return count;
}

// One frame, in all its buffers. False when there is none, or when the device broke the protocol.
bool VirtioNet::receiveOne(Events& events) {
  FrameSegment segments[MAX_SEGMENTS];
  NetHeader header{};
  uint64_t bytes = 0;
  size_t count = 0, expected = 1;
  while (count < expected) {
    KJ_IF_MAYBE (used, receive.take()) {
      BufferId buffer = receiveBuffers[used->head];
      provided[buffer] = false;
      uint32_t skip = 0;
      if (count == 0) {
        skip = sizeof(NetHeader);
        if (used->written < skip) return fail(DeviceFault::HEADER_TRUNCATED), false;
        memcpy(&header, memory.buffers.bytes().begin() + size_t{buffer} * memory.bufferSize, sizeof(header));
        expected = header.numBuffers;
        if (expected == 0) return fail(DeviceFault::BUFFER_COUNT_ZERO), false;
        bool merged = accepted & feature::NET_MRG_RXBUF;
        if (expected > (merged ? MAX_SEGMENTS : 1)) return fail(DeviceFault::BUFFER_COUNT_BEYOND), false;
      }
      // 5.1.6.4.1: every buffer but the last is used completely. An empty piece would be a frame with a hole.
      if (expected > 1 && used->written == skip) return fail(DeviceFault::BUFFER_EMPTY), false;
      segments[count++] = {buffer, skip, used->written - skip};
      bytes += used->written - skip;
    } else {
      // 5.1.6.4.1: all buffers of one frame become visible together.
      if (count > 0 && receive.fault() == nullptr) fail(DeviceFault::BUFFER_COUNT_BEYOND);
      KJ_IF_MAYBE (fault, receive.fault()) fail(*fault);
      return false;
    }
  }
  if (bytes < ETHERNET_HEADER) {
    recycle(kj::arrayPtr(segments, count));
    return true;
  }
  counters.framesReceived++;
  counters.bytesReceived += bytes;
  events.received(kj::arrayPtr(segments, count), FrameMeta{});
  return true;
}

void VirtioNet::recycle(kj::ArrayPtr<const FrameSegment> segments) {
  counters.runtsDropped++;
  // They fit: their descriptors have just become free.
  for (auto& segment : segments) KJ_ASSERT(provide(segment.buffer));
  flush();
}

// Waiting ----

bool VirtioNet::somethingToReport() {
  return broken != nullptr || linkChanged || transmitQueue.ready();
}

// False when there is something to report already, so that no interrupt may come for it.
bool VirtioNet::armInterrupts() {
  if (receive.arm()) return false;
  // Completions are wanted in bulk, and only when they free something that is scarce.
  bool scarce = transmitBlocked || transmitQueue.outstandingDescriptors() >= transmitQueue.size() / 4;
  if (scarce) return !transmitQueue.arm(transmitQueue.outstandingChains() / 2);
  transmitQueue.disarm();
  return true;
}

kj::Promise<void> VirtioNet::whenReady() {
  // Looked at on every call, so that a device that is always busy cannot hide a change.
  if (interrupts.config->take()) checkStatus();
  while (!somethingToReport() && armInterrupts()) {
    auto watch = timer.afterDelay(WATCH_PERIOD).then([this]() { checkStatus(); });
    co_await interrupts.receive->whenFired()
        .exclusiveJoin(interrupts.transmit->whenFired())
        .exclusiveJoin(interrupts.config->whenFired())
        .exclusiveJoin(kj::mv(watch));
    interrupts.receive->take();
    interrupts.transmit->take();
    if (interrupts.config->take()) checkStatus();
  }
  receive.disarm();
}

// After a configuration interrupt, and from time to time: does the device still work, and is there a link?
void VirtioNet::checkStatus() {
  if (broken != nullptr) return;
  uint8_t now = transport.readStatus();
  if (now == 0xff) return fail(DeviceFault::GONE);
  if (now & status::NEEDS_RESET) return fail(DeviceFault::NEEDS_RESET);
  if ((now & status::DRIVER_OK) == 0) return fail(DeviceFault::RESET_UNASKED);
  KJ_IF_MAYBE (up, readLinkUp()) {
    if (*up == linkUp) return;
    linkUp = *up;
    linkChanged = true;
    counters.linkChanges++;
  } else {
    fail(DeviceFault::CONFIG_UNSTABLE);
  }
}

void VirtioNet::fail(DeviceFault fault) {
  if (broken != nullptr) return;
  broken = fault;
  linkChanged = true;
  counters[fault]++;
  transport.writeStatus(status::RESET);
}

void VirtioNet::requireWorking() {
  KJ_IF_MAYBE (fault, broken) {
    kj::throwFatalException(
        KJ_EXCEPTION(DISCONNECTED, kj::str("the virtio-net device failed (", faultName(*fault), ") and was reset")));
  }
}

}  // namespace nexus
