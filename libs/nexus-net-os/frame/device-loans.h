#pragma once
// The driver's side of buffer ownership: which buffer is with the device, which with the user above, which with
// neither. Keeps the device supplied with receive buffers and holds back the frames that its queue has no room for.
// Owned by a link, one per device and buffer memory; its user is the RPC path or the rings of an attachment, one after
// the other on the same loans. Knows nothing of either.
//
//   receive buffer   SPARE -> DEVICE -> USER -> SPARE          transmit buffer   SPARE -> USER -> QUEUED -> DEVICE ->
//   SPARE
#include <kj/array.h>

#include "libs/nexus-net-os/frame/buffer-pool.h"
#include "libs/nexus-net-os/frame/frame-device.h"

namespace nexus {

class DeviceLoans final : private FrameDevice::Events {
 public:
  class User {
   public:
    // A frame arrived. Its buffers are the user's until giveBack().
    virtual void frameArrived(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) = 0;

    // This transmit buffer is spare again: takeSpare() it to use it.
    virtual void transmitBufferFree(BufferId buffer) = 0;
  };

  // Frames.
  struct Counters {
    uint64_t received = 0;
    uint64_t receivedBytes = 0;
    uint64_t transmitted = 0;  // handed to the device
    uint64_t transmittedBytes = 0;
    uint64_t held = 0;  // waited because the device's queue was full
  };

  // `device` must outlive this. Every buffer is spare at first.
  DeviceLoans(FrameDevice& device, const BufferGeometry& geometry);
  KJ_DISALLOW_COPY_AND_MOVE(DeviceLoans);

  const BufferGeometry& geometry() const { return shape; }

  // True when the user above holds the buffer.
  bool isUsers(BufferId id) const { return holders[id] == Holder::USER; }

  // Gives the user a spare transmit buffer; false when it is not spare.
  bool takeSpare(BufferId id);

  // Any spare transmit buffer, now the user's; null when there is none.
  kj::Maybe<BufferId> takeAnySpare();

  // How many transmit buffers the user holds.
  uint32_t usersTransmitCount() const { return usersTransmit; }

  // The user returns a buffer of either kind. FAILED when it does not hold it.
  void giveBack(BufferId id);

  // Every buffer that the user holds is spare again.
  void giveBackAll();

  // Sends a frame lying in 1 to FrameDevice::MAX_SEGMENTS transmit buffers that the user holds, each used once. At once
  // or, when the device has no room, as soon as it has.
  void transmit(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta);

  // Reports at most `budget` events of the device, then supplies and notifies it. Returns how many. DISCONNECTED when
  // the device is broken.
  size_t poll(User& user, size_t budget);

  // Supplies the device and notifies it of what changed. Part of poll(); by itself after a batch of transmit() and
  // giveBack().
  void flush();

  const Counters& counters() const { return totals; }

 private:
  enum class Holder : uint8_t { SPARE, USER, QUEUED, DEVICE };
  static constexpr BufferId NONE = UINT32_MAX;

  // What is remembered of a transmit buffer while its frame is queued or with the device.
  struct Chained {
    FrameSegment segment;
    BufferId next = NONE;  // of the same frame
    BufferId nextFrame = NONE;
    FrameMeta meta;  // of the first only
  };

  FrameDevice& device;
  BufferGeometry shape;
  kj::Array<Holder> holders;
  kj::Array<Chained> chains;  // by id - receive
  kj::Array<BufferId> spareReceive;
  uint32_t spareReceiveCount = 0;
  uint32_t usersTransmit = 0;
  BufferId firstHeld = NONE, lastHeld = NONE;  // frames that wait for room, oldest first
  User* user = nullptr;                        // during poll()
  Counters totals;

  Chained& chained(BufferId id) { return chains[id - shape.receive]; }
  bool lend(BufferId first);
  void sendHeld();

  // implements FrameDevice::Events ----------------------------------------
  void received(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) override;
  void transmitted(BufferId first) override;
};

}  // namespace nexus
