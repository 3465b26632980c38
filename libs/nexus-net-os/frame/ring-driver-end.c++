#include "libs/nexus-net-os/frame/ring-driver-end.h"

#include <kj/debug.h>

namespace nexus {

RingDriverEnd::RingDriverEnd(DeviceLoans& loans, kj::ArrayPtr<kj::byte> ringMemory, Doorbell toStackBell,
                             DoorbellListener& toDriverBell)
    : loans(loans),
      toStack(ringMemory, RingDirection::TO_STACK, loans.geometry()),
      toDriver(ringMemory, RingDirection::TO_DRIVER, loans.geometry()),
      bell(kj::mv(toStackBell)),
      listener(toDriverBell) {
  // Those that a former user's frames still occupy follow when the device is done with them.
  auto& geometry = loans.geometry();
  for (BufferId id = geometry.receive; id < geometry.total(); id++) transmitBufferFree(id);
  publish();
}

RingDriverEnd::~RingDriverEnd() noexcept(false) {
  loans.giveBackAll();
}

void RingDriverEnd::frameArrived(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) {
  for (size_t i = 0; i < segments.size(); i++) {
    toStack.push({ring::Kind::RECEIVED, i + 1 < segments.size(), segments[i], i == 0 ? meta : FrameMeta{}});
  }
  framesPushed = true;
}

void RingDriverEnd::transmitBufferFree(BufferId buffer) {
  if (!loans.takeSpare(buffer)) return;
  toStack.push({ring::Kind::GRANTED, false, {buffer, 0, 0}, {}});
  grantsUnseen++;
}

bool RingDriverEnd::refuse(kj::StringPtr why) {
  reason = why;
  return false;
}

bool RingDriverEnd::accept(const RingEntry& entry) {
  if (entry.kind == ring::Kind::TRANSMIT) return acceptSegment(entry);
  // RETURNED: the ring knows no third kind in this direction.
  if (assembled > 0) return refuse("a returned buffer in the middle of a frame"_kj);
  if (!loans.isUsers(entry.segment.buffer)) return refuse("the return of a receive buffer that is not lent"_kj);
  loans.giveBack(entry.segment.buffer);
  return true;
}

bool RingDriverEnd::acceptSegment(const RingEntry& entry) {
  if (!loans.isUsers(entry.segment.buffer)) return refuse("a frame in a transmit buffer that is not lent"_kj);
  if (assembled == FrameDevice::MAX_SEGMENTS) return refuse("a frame of too many segments"_kj);
  for (size_t i = 0; i < assembled; i++) {
    if (assembling[i].buffer == entry.segment.buffer) return refuse("a frame that names a buffer twice"_kj);
  }
  if (assembled == 0) {
    assemblingMeta = entry.meta;
    assembledLength = 0;
  }
  assembling[assembled++] = entry.segment;
  assembledLength += entry.segment.length;
  if (entry.more) return true;
  // Offloads are not negotiated with any device yet; the fields travel for the day they are.
  if (assemblingMeta != FrameMeta{}) return refuse("a frame that asks for an offload nobody offered"_kj);
  loans.transmit(kj::arrayPtr(assembling, assembled), assemblingMeta);
  assembled = 0;
  return true;
}

size_t RingDriverEnd::consume() {
  RingEntry entry;
  for (size_t count = 0; count < BATCH; count++) {
    switch (toDriver.take(entry)) {
      case RingConsumer::Take::EMPTY:
        return count;
      case RingConsumer::Take::BAD:
        reason = toDriver.fault();
        return count;
      case RingConsumer::Take::TAKEN:
        if (!accept(entry)) return count;
        break;
    }
  }
  return BATCH;
}

bool RingDriverEnd::pump() {
  auto fromStack = consume();
  auto fromDevice = loans.poll(*this, BATCH);
  publish();
  return fromStack == BATCH || fromDevice == BATCH;
}

void RingDriverEnd::publish() {
  // Transmit buffers alone do not wake a stack that knows of plenty: it finds them at its next look.
  bool plenty = loans.usersTransmitCount() - grantsUnseen > loans.geometry().transmit / 2;
  if (!framesPushed && plenty) {
    toStack.publish();
    return;
  }
  if (toStack.publishAndWake()) bell.ring();
  framesPushed = false;
  grantsUnseen = 0;
}

kj::Promise<kj::StringPtr> RingDriverEnd::pumpLoop(FrameDevice& device, kj::Function<void()> afterBatch) {
  for (;;) {
    bool more = pump();
    afterBatch();
    if (reason.size() > 0) co_return reason;
    if (more) {
      co_await kj::evalLast([] {});  // everybody else first
    } else if (toDriver.prepareSleep()) {
      co_await device.whenReady().exclusiveJoin(listener.whenRung());
      toDriver.awake();
    }
  }
}

}  // namespace nexus
