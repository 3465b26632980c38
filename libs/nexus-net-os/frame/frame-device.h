#pragma once
// What a driver looks like from above: a link that takes frames to send and buffers to receive into, both lying in one
// buffer memory that is divided into numbered buffers of equal size. Implemented by virtio-net and by the TAP and
// stream backends; used by the Nic server. Knows nothing of who owns the frames, of RPC or of the network stack.
//
// One thread. Nothing blocks: poll() is a bounded batch, whenReady() is the only wait.
#include <kj/async.h>
#include <kj/function.h>

#include "libs/nexus-net-os/frame/frame-meta.h"
#include "libs/nexus-net-os/net/mac-address.h"

namespace nexus {

// Index of a buffer in the buffer memory.
using BufferId = uint32_t;

// Part of a frame: `length` bytes at `offset` from the start of buffer `buffer`.
struct FrameSegment {
  BufferId buffer;
  uint32_t offset;
  uint32_t length;

  bool operator==(const FrameSegment&) const = default;
};

struct LinkState {
  bool up = false;
  uint16_t mtu = 1500;
  kj::StringPtr reason;  // why it is down, with static lifetime; empty when up
};

// Takes the names and values of counters, for status output. Names are static: "stream.droppedAway".
using EachCounter = kj::FunctionParam<void(kj::StringPtr name, uint64_t value)>;

class FrameDevice {
 public:
  // What poll() found, told in the order in which the device reported it.
  class Events {
   public:
    // A frame arrived. Its buffers are the callee's until it provides them again.
    virtual void received(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) = 0;

    // The device is done with every buffer of a transmitted frame whose first segment lay in `first`.
    virtual void transmitted(BufferId first) = 0;
  };

  virtual ~FrameDevice() noexcept(false) = default;

  virtual MacAddress macAddress() = 0;
  virtual LinkState linkState() = 0;

  // Lends a receive buffer to the device, until received() names it. False when the device can take no more; try again
  // after poll().
  virtual bool provide(BufferId buffer) = 0;

  // Lends a frame of at most MAX_SEGMENTS segments to the device, until transmitted() names it. False when its queue is
  // full.
  static constexpr size_t MAX_SEGMENTS = 18;
  virtual bool transmit(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) = 0;

  // Tells the device about everything provided and transmitted since the last flush: one notification per batch.
  virtual void flush() = 0;

  // Reports at most `budget` events. Returns how many; `budget` means there may be more.
  // DISCONNECTED when the device is broken or gone: every buffer is then the caller's again.
  virtual size_t poll(Events& events, size_t budget) = 0;

  // Resolves when poll() may find something or linkState() may have changed; at once if that is so already. One waiter.
  virtual kj::Promise<void> whenReady() = 0;
};

}  // namespace nexus
