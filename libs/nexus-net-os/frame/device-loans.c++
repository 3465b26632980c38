#include "libs/nexus-net-os/frame/device-loans.h"

#include <kj/debug.h>

namespace nexus {

DeviceLoans::DeviceLoans(FrameDevice& device, const BufferGeometry& geometry)
    : device(device),
      shape(geometry),
      holders(kj::heapArray<Holder>(geometry.total())),
      chains(kj::heapArray<Chained>(geometry.transmit)),
      spareReceive(kj::heapArray<BufferId>(geometry.receive)) {
  for (auto& holder : holders) holder = Holder::SPARE;
  // The lowest id is lent first: it lies on top.
  for (uint32_t i = 0; i < geometry.receive; i++) spareReceive[i] = geometry.receive - 1 - i;
  spareReceiveCount = geometry.receive;
}

bool DeviceLoans::takeSpare(BufferId id) {
  KJ_REQUIRE(shape.isTransmit(id));
  if (holders[id] != Holder::SPARE) return false;
  holders[id] = Holder::USER;
  usersTransmit++;
  return true;
}

kj::Maybe<BufferId> DeviceLoans::takeAnySpare() {
  for (BufferId id = shape.receive; id < shape.total(); id++) {
    if (takeSpare(id)) return id;
  }
  return nullptr;
}

void DeviceLoans::giveBack(BufferId id) {
  KJ_REQUIRE(id < shape.total() && isUsers(id), "a buffer comes back from somebody who does not hold it", id);
  holders[id] = Holder::SPARE;
  if (shape.isReceive(id)) {
    spareReceive[spareReceiveCount++] = id;
  } else {
    usersTransmit--;
  }
}

void DeviceLoans::giveBackAll() {
  for (BufferId id = 0; id < shape.total(); id++) {
    if (isUsers(id)) giveBack(id);
  }
}

void DeviceLoans::transmit(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) {
  KJ_REQUIRE(segments.size() > 0 && segments.size() <= FrameDevice::MAX_SEGMENTS, segments.size());
  for (size_t i = 0; i < segments.size(); i++) {
    auto id = segments[i].buffer;
    KJ_REQUIRE(shape.isTransmit(id) && isUsers(id) && isInside(segments[i], shape),
               "a frame in buffers that are not its sender's", id);
    holders[id] = Holder::QUEUED;
    usersTransmit--;
    chained(id) = {segments[i], i + 1 < segments.size() ? segments[i + 1].buffer : NONE, NONE, {}};
    totals.transmittedBytes += segments[i].length;
  }
  auto first = segments[0].buffer;
  chained(first).meta = meta;
  if (firstHeld == NONE && lend(first)) return;
  totals.held++;
  if (firstHeld == NONE) {
    firstHeld = first;
  } else {
    chained(lastHeld).nextFrame = first;
  }
  lastHeld = first;
}

bool DeviceLoans::lend(BufferId first) {
  FrameSegment segments[FrameDevice::MAX_SEGMENTS];
  size_t count = 0;
  for (auto id = first; id != NONE; id = chained(id).next) segments[count++] = chained(id).segment;
  if (!device.transmit(kj::arrayPtr(segments, count), chained(first).meta)) return false;
  for (size_t i = 0; i < count; i++) holders[segments[i].buffer] = Holder::DEVICE;
  totals.transmitted++;
  return true;
}

void DeviceLoans::sendHeld() {
  while (firstHeld != NONE) {
    auto next = chained(firstHeld).nextFrame;
    if (!lend(firstHeld)) return;
    firstHeld = next;
  }
}

size_t DeviceLoans::poll(User& to, size_t budget) {
  user = &to;
  KJ_DEFER(user = nullptr);
  auto count = device.poll(*this, budget);
  flush();
  return count;
}

void DeviceLoans::flush() {
  sendHeld();
  while (spareReceiveCount > 0) {
    auto id = spareReceive[spareReceiveCount - 1];
    if (!device.provide(id)) break;
    holders[id] = Holder::DEVICE;
    spareReceiveCount--;
  }
  device.flush();
}

void DeviceLoans::received(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) {
  KJ_ASSERT(segments.size() > 0);
  for (auto& segment : segments) {
    KJ_ASSERT(isInside(segment, shape) && shape.isReceive(segment.buffer) && holders[segment.buffer] == Holder::DEVICE,
              "the device reports a buffer that it does not hold", segment.buffer);
    holders[segment.buffer] = Holder::USER;
    totals.receivedBytes += segment.length;
  }
  totals.received++;
  user->frameArrived(segments, meta);
}

void DeviceLoans::transmitted(BufferId first) {
  KJ_ASSERT(shape.isTransmit(first));
  for (auto id = first; id != NONE;) {
    KJ_ASSERT(holders[id] == Holder::DEVICE, "the device reports a buffer that it does not hold", id);
    auto next = chained(id).next;
    holders[id] = Holder::SPARE;
    user->transmitBufferFree(id);
    id = next;
  }
}

}  // namespace nexus
