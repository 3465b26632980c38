#pragma once
// A link as the network stack sees it: frames arrive in place, in memory that is given back when the stack is done with
// it; frames to send are gathered from pieces. Implemented by the ring port (shared memory, to virtionetd), by the RPC
// port and by tests; used by LwipStack. Knows nothing of devices.
#include <kj/async.h>

#include "libs/nexus-net-os/frame/frame-device.h"

namespace nexus {

// Memory of a received frame, lent to the stack. Moves; returns itself to its owner when destroyed.
class ReceivedPiece {
 public:
  class Owner {
   public:
    virtual void release(uint32_t token) noexcept = 0;
  };

  ReceivedPiece(kj::ArrayPtr<kj::byte> bytes, Owner& owner, uint32_t token)
      : span(bytes), owner(&owner), token(token) {}
  ReceivedPiece(ReceivedPiece&& other) noexcept : span(other.span), owner(other.owner), token(other.token) {
    other.owner = nullptr;
  }
  ReceivedPiece& operator=(ReceivedPiece&&) = delete;
  ~ReceivedPiece() {
    if (owner != nullptr) owner->release(token);
  }

  // Writable, because lwIP converts headers in place. Another process may hold the same memory: what is read twice may
  // differ.
  kj::ArrayPtr<kj::byte> bytes() const { return span; }

 private:
  kj::ArrayPtr<kj::byte> span;
  Owner* owner;
  uint32_t token;
};

class FramePort {
 public:
  class Receiver {
   public:
    // One frame in one or more pieces; the callee moves out what it keeps.
    virtual void frameReceived(kj::ArrayPtr<ReceivedPiece> pieces, const FrameMeta& meta) = 0;

    // A batch of frames has been delivered: the moment to send what they caused.
    virtual void batchDone() = 0;

    virtual void linkChanged() = 0;
  };

  virtual ~FramePort() noexcept(false) = default;

  virtual MacAddress macAddress() = 0;
  virtual LinkState linkState() = 0;

  // Copies the pieces, one after the other, into one frame and queues it. False when the queue is full or the link is
  // away: the frame is then dropped and counted here, as a wire would.
  virtual bool transmit(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, const FrameMeta& meta) = 0;

  // Makes everything queued since the last flush visible to the other side.
  virtual void flush() = 0;

  // Delivers frames and link changes until cancelled, in bounded batches. Survives the loss of the driver: attaches
  // again.
  virtual kj::Promise<void> receiveLoop(Receiver& receiver) = 0;
};

}  // namespace nexus
