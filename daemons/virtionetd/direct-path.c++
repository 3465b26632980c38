#include "daemons/virtionetd/direct-path.h"

#include <kj/debug.h>
#include <kj/vector.h>

namespace nexus {

void DirectPath::setDevice(kj::Maybe<DeviceLoans&> newLoans, kj::Maybe<BufferPool&> newPool) {
  loans = newLoans;
  pool = newPool;
}

void DirectPath::close() {
  closed = true;
  totals.droppedAttached += queue.size();
  queue.clear();
  arrival.wakeAll();
}

void DirectPath::requireOpen() {
  KJ_REQUIRE(!closed, "an attachment lives: the frames of this link are its business");
}

kj::Promise<kj::Array<kj::byte>> DirectPath::receive() {
  requireOpen();
  if (queue.empty() && arrival.size() >= MAX_WAITING) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many calls wait for a frame already", MAX_WAITING));
  }
  while (queue.empty()) {
    co_await arrival.wait();
    requireOpen();
  }
  auto frame = kj::mv(queue.front());
  queue.pop_front();
  totals.received++;
  co_return kj::mv(frame);
}

void DirectPath::transmit(kj::ArrayPtr<const kj::byte> frame) {
  requireOpen();
  KJ_REQUIRE(frame.size() <= ring::BUFFER_SIZE, frame.size());
  KJ_IF_MAYBE (device, loans) {
    auto id = device->takeAnySpare();
    if (id == nullptr) {
      // A device need not announce every frame it has sent.
      device->poll(*this, device->geometry().total());
      id = device->takeAnySpare();
    }
    KJ_IF_MAYBE (buffer, id) {
      FrameSegment segment{*buffer, 0, static_cast<uint32_t>(frame.size())};
      memcpy(KJ_ASSERT_NONNULL(pool).bytes(segment).begin(), frame.begin(), frame.size());
      device->transmit({segment}, {});
      device->flush();
      totals.transmitted++;
      return;
    }
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "the transmit queue is full"));
  }
  kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the link is away"));
}

void DirectPath::frameArrived(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta&) {
  auto& device = KJ_ASSERT_NONNULL(loans);
  if (closed) {
    totals.droppedAttached++;
  } else {
    kj::Vector<kj::byte> bytes;
    for (auto& segment : segments) bytes.addAll(KJ_ASSERT_NONNULL(pool).bytes(segment));
    if (queue.size() == MAX_QUEUED) {
      queue.pop_front();
      totals.droppedQueueFull++;
    }
    queue.push_back(bytes.releaseAsArray());
    arrival.wakeAll();
  }
  for (auto& segment : segments) device.giveBack(segment.buffer);
}

}  // namespace nexus
