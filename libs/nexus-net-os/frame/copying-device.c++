#include "libs/nexus-net-os/frame/copying-device.h"

#include <kj/debug.h>

namespace nexus {

bool CopyingDevice::provide(BufferId buffer) {
  provided.push_back(buffer);
  return true;
}

bool CopyingDevice::write(const Outgoing& frame) {
  kj::ArrayPtr<const kj::byte> pieces[MAX_SEGMENTS];
  for (size_t i = 0; i < frame.count; i++) pieces[i] = pool.bytes(frame.segments[i]);
  return channel.tryWrite(kj::arrayPtr(pieces, frame.count));
}

bool CopyingDevice::transmit(kj::ArrayPtr<const FrameSegment> segments, const FrameMeta& meta) {
  KJ_REQUIRE(meta == FrameMeta{}, "an offload that was not negotiated");
  KJ_REQUIRE(segments.size() > 0 && segments.size() <= MAX_SEGMENTS);
  if (waiting.size() >= MAX_WAITING) return false;
  Outgoing frame{{}, segments.size()};
  for (size_t i = 0; i < segments.size(); i++) frame.segments[i] = segments[i];
  if (waiting.empty() && write(frame)) {
    done.push_back(segments[0].buffer);
    return true;
  }
  waiting.push_back(frame);
  return true;
}

size_t CopyingDevice::poll(Events& events, size_t budget) {
  while (!waiting.empty() && write(waiting.front())) {
    done.push_back(waiting.front().segments[0].buffer);
    waiting.pop_front();
  }
  size_t count = 0;
  for (; count < budget && !done.empty(); count++) {
    auto first = done.front();
    done.pop_front();
    events.transmitted(first);
  }
  while (count < budget && !provided.empty()) {
    auto id = provided.front();
    auto length = channel.tryRead(pool.buffer(id));
    if (length == 0) break;
    provided.pop_front();
    FrameSegment segment{id, 0, static_cast<uint32_t>(length)};
    events.received({segment}, FrameMeta{});
    count++;
  }
  reported = channel.linkState();
  return count;
}

kj::Promise<void> CopyingDevice::whenReady() {
  // What the channel has now was found by the poll() before this, which ends only when the channel has no more or the
  // budget is spent.
  auto state = channel.linkState();
  if (state.up != reported.up || state.mtu != reported.mtu || !done.empty()) return kj::READY_NOW;
  auto ready = channel.whenReadable();
  if (waiting.empty()) return ready;
  return ready.exclusiveJoin(channel.whenWritable());
}

}  // namespace nexus
