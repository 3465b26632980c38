#pragma once
// Frames by RPC: the copying path of a Nic for tests and small tools. Keeps what arrives until somebody asks, within a
// bound, and copies what is sent into a transmit buffer. The user of the device loans whenever no attachment has
// started. Owned by the link, outlives its devices. Knows nothing of RPC itself.
#include <deque>

#include "libs/nexus-net-os/base/wait-list.h"
#include "libs/nexus-net-os/frame/device-loans.h"

namespace nexus {

class DirectPath final : public DeviceLoans::User {
 public:
  static constexpr size_t MAX_QUEUED = 256;  // frames; then the oldest is dropped
  static constexpr size_t MAX_WAITING = 16;  // calls of receive(); one more is OVERLOADED

  // Frames.
  struct Counters {
    uint64_t received = 0;  // given to receive()
    uint64_t transmitted = 0;
    uint64_t droppedQueueFull = 0;  // arrived, pushed out by newer ones
    uint64_t droppedAttached = 0;   // queued or arriving when an attachment took over
  };

  DirectPath() = default;
  KJ_DISALLOW_COPY_AND_MOVE(DirectPath);

  // The device that is in use now; null between two.
  void setDevice(kj::Maybe<DeviceLoans&> loans, kj::Maybe<BufferPool&> pool);

  // While closed, as an attachment lives: what arrives is dropped and counted, every call FAILED.
  void close();
  void reopen() { closed = false; }

  // The oldest frame, or the next to come. Cancelling loses nothing.
  kj::Promise<kj::Array<kj::byte>> receive();

  // Sends one frame of at most BUFFER_SIZE bytes. OVERLOADED when no transmit buffer is free, DISCONNECTED while there
  // is no device.
  void transmit(kj::ArrayPtr<const kj::byte> frame);

  const Counters& counters() const { return totals; }

  // implements DeviceLoans::User ----------------------------------------
  void frameArrived(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) override;
  void transmitBufferFree(BufferId) override {}

 private:
  kj::Maybe<DeviceLoans&> loans;
  kj::Maybe<BufferPool&> pool;
  bool closed = false;
  std::deque<kj::Array<kj::byte>> queue;
  WaitList arrival;
  Counters totals;

  void requireOpen();
};

}  // namespace nexus
