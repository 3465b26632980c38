#pragma once
// Where a link comes from: opens a FrameDevice on frame buffers. Implemented by the vfio, tap and stream backends; used
// by NicLink. Knows nothing of who uses the link.
#include "libs/nexus-net-os/frame/buffer-pool.h"
#include "libs/nexus-net-os/frame/frame-device.h"

namespace nexus {

// A device and the buffers it works on. The buffers outlive the device.
struct OpenLink {
  kj::Own<BufferPool> buffers;
  kj::Own<FrameDevice> device;
};

class LinkBackend {
 public:
  virtual ~LinkBackend() noexcept(false) = default;

  // "vfio", "tap", "stream": for messages.
  virtual kj::StringPtr name() = 0;

  // Opens the link on buffers that are not sealed yet. Called again after an attachment has ended or the device has
  // failed, when the former device and buffers are gone. DISCONNECTED when the backend can do it only once in the life
  // of the process (a VFIO device, whose DMA memory is sealed to its first client): the daemon then ends and its
  // supervisor starts a fresh one.
  virtual kj::Promise<OpenLink> open() = 0;

  // What was counted below the link, over all devices it opened.
  virtual void forEachCounter(EachCounter each) const = 0;
};

}  // namespace nexus
