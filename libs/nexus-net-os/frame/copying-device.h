#pragma once
// A FrameDevice on a FrameChannel: copies each frame between the channel and the buffers it was lent. Owned by a link;
// one for each buffer memory, all on the same channel one after the other. Knows nothing of what the channel is.
#include <deque>

#include "libs/nexus-net-os/frame/buffer-pool.h"
#include "libs/nexus-net-os/frame/frame-channel.h"

namespace nexus {

class CopyingDevice final : public FrameDevice {
 public:
  static constexpr size_t MAX_WAITING =
      256;  // frames to send that the channel has no room for; then transmit() says no

  // Both outlive the device.
  CopyingDevice(FrameChannel& channel, const BufferPool& pool, const MacAddress& mac)
      : channel(channel), pool(pool), mac(mac) {}
  KJ_DISALLOW_COPY_AND_MOVE(CopyingDevice);

  // implements FrameDevice ----------------------------------------
  MacAddress macAddress() override { return mac; }
  LinkState linkState() override { return channel.linkState(); }
  bool provide(BufferId buffer) override;
  // An offload in `meta` is FAILED: none was negotiated.
  bool transmit(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) override;
  void flush() override {}
  size_t poll(Events& events, size_t budget) override;
  kj::Promise<void> whenReady() override;

 private:
  struct Outgoing {
    FrameSegment segments[MAX_SEGMENTS];
    size_t count;
  };

  FrameChannel& channel;
  const BufferPool& pool;
  MacAddress mac;
  std::deque<BufferId> provided;
  std::deque<Outgoing> waiting;
  std::deque<BufferId> done;  // sent, not yet reported
  LinkState reported;

  bool write(const Outgoing& frame);
};

}  // namespace nexus
