#pragma once
// Whole frames in and out of a descriptor, copied by the kernel: what a TAP interface or a stream socket is good for.
// Implemented by TapChannel and StreamChannel, used by CopyingDevice. A channel heals itself: while its other end is
// away the link is down and what is sent is lost, as on a cable. Knows nothing of buffers.
#include <kj/async.h>

#include "libs/nexus-net-os/frame/frame-device.h"

namespace nexus {

class FrameChannel {
 public:
  virtual ~FrameChannel() noexcept(false) = default;

  virtual LinkState linkState() = 0;

  // What the channel has lost and why; values only grow.
  virtual void forEachCounter(EachCounter each) const = 0;

  // The next frame into `out`: its length, or 0 when there is none now. A frame that does not fit, or is none, is
  // dropped and counted.
  virtual size_t tryRead(kj::ArrayPtr<kj::byte> out) = 0;

  // Sends one frame of at most MAX_SEGMENTS pieces. False when there is no room now.
  virtual bool tryWrite(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) = 0;

  // Resolve when tryRead() or tryWrite() may have become possible or the link state has changed. One waiter each.
  virtual kj::Promise<void> whenReadable() = 0;
  virtual kj::Promise<void> whenWritable() = 0;
};

}  // namespace nexus
