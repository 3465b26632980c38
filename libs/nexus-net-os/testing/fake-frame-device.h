#pragma once
// A network device in memory: tests inject frames and look at what was sent. Holds buffers as a real one does and
// completes transmissions only when told to (or at once), so that back-pressure can be seen. Owned by a test. Knows
// nothing of who uses it.
#include <kj/debug.h>
#include <kj/vector.h>

#include <deque>

#include "libs/nexus-net-os/frame/buffer-pool.h"
#include "libs/nexus-net-os/frame/frame-device.h"

namespace nexus {

class FakeFrameDevice final : public FrameDevice {
 public:
  explicit FakeFrameDevice(BufferPool& pool) : pool(pool) {}

  struct Sent {
    kj::Array<kj::byte> bytes;
    FrameMeta meta;
  };

  // What tests turn.
  MacAddress mac{{0x52, 0x54, 0, 0x12, 0x34, 0x0a}};
  LinkState link{true, 1500, nullptr};
  size_t receiveSlots = SIZE_MAX;   // receive buffers the device takes
  size_t transmitSlots = SIZE_MAX;  // frames the device holds
  bool completeAtOnce = true;
  uint32_t headroom = 0;  // bytes before a received frame

  // What tests see.
  std::deque<Sent> sent;
  std::deque<BufferId> provided;
  size_t flushes = 0;
  uint64_t noBuffer = 0;  // frames dropped because no receive buffer was lent

  // A frame arrives, in buffers of `pieceSize` bytes.
  void inject(kj::ArrayPtr<const kj::byte> frame, const FrameMeta& meta = {}, size_t pieceSize = ring::BUFFER_SIZE) {
    kj::Vector<FrameSegment> segments;
    size_t room = kj::min(pieceSize, ring::BUFFER_SIZE - headroom);
    size_t needed = (frame.size() + room - 1) / room;
    if (needed > provided.size()) {
      noBuffer++;
      return;
    }
    while (frame.size() > 0) {
      auto id = provided.front();
      provided.pop_front();
      auto part = frame.slice(0, kj::min(frame.size(), room));
      memcpy(pool.bytes({id, headroom, static_cast<uint32_t>(part.size())}).begin(), part.begin(), part.size());
      segments.add(FrameSegment{id, headroom, static_cast<uint32_t>(part.size())});
      frame = frame.slice(part.size(), frame.size());
    }
    arrived.push_back({segments.releaseAsArray(), meta});
    wake();
  }

  // The device is done with the oldest `count` frames that were sent.
  void complete(size_t count = SIZE_MAX) {
    for (; count > 0 && inFlight.size() > 0; count--) {
      done.push_back(inFlight.front());
      inFlight.pop_front();
    }
    wake();
  }

  size_t inFlightCount() const { return inFlight.size(); }

  // The device breaks: every poll() fails from now on.
  void fail() {
    broken = true;
    wake();
  }

  void setLink(LinkState state) {
    link = state;
    wake();
  }

  // implements FrameDevice ----------------------------------------

  MacAddress macAddress() override { return mac; }
  LinkState linkState() override { return link; }

  bool provide(BufferId buffer) override {
    if (provided.size() >= receiveSlots) return false;
    KJ_ASSERT(pool.geometry().isReceive(buffer));
    for (auto id : provided) KJ_ASSERT(id != buffer, "provided twice", id);
    provided.push_back(buffer);
    return true;
  }

  bool transmit(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) override {
    if (inFlight.size() >= transmitSlots) return false;
    KJ_ASSERT(segments.size() <= MAX_SEGMENTS);
    kj::Vector<kj::byte> bytes;
    for (auto& segment : segments) bytes.addAll(pool.bytes(segment));
    sent.push_back({bytes.releaseAsArray(), meta});
    inFlight.push_back(segments[0].buffer);
    if (completeAtOnce) complete(1);
    return true;
  }

  void flush() override { flushes++; }

  size_t poll(Events& events, size_t budget) override {
    if (broken) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the device broke"));
    size_t count = 0;
    for (; count < budget && done.size() > 0; count++) {
      auto first = done.front();
      done.pop_front();
      events.transmitted(first);
    }
    for (; count < budget && arrived.size() > 0; count++) {
      auto frame = kj::mv(arrived.front());
      arrived.pop_front();
      events.received(frame.segments, frame.meta);
    }
    woken = false;
    return count;
  }

  kj::Promise<void> whenReady() override {
    if (woken || broken || done.size() > 0 || arrived.size() > 0) return kj::READY_NOW;
    auto paf = kj::newPromiseAndFulfiller<void>();
    waiter = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }

 private:
  struct Arrived {
    kj::Array<FrameSegment> segments;
    FrameMeta meta;
  };

  BufferPool& pool;
  std::deque<Arrived> arrived;
  std::deque<BufferId> inFlight, done;
  bool broken = false, woken = false;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiter;

  void wake() {
    woken = true;
    KJ_IF_MAYBE (w, waiter) (*w)->fulfill();
    waiter = nullptr;
  }
};

}  // namespace nexus
