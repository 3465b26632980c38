#pragma once
// Frames through a Linux TAP interface, with the 12-byte virtio_net_hdr in front (IFF_VNET_HDR) so that offloads can
// come later; none is asked for now. Takes an interface that exists, or makes it where the process may. When the
// interface vanishes the link is down until it is back. Owned by a backend. Knows nothing of addresses or of what is on
// the other side.
#include <kj/async-unix.h>
#include <kj/io.h>
#include <kj/string.h>
#include <kj/timer.h>

#include "libs/nexus-net-os/frame/frame-channel.h"

namespace nexus {

class TapChannel final : public FrameChannel {
 public:
  static constexpr kj::Duration RETRY_DELAY = 1 * kj::SECONDS;  // between attempts to take the interface again

  // All grow only. Frames.
  struct Counters {
    uint64_t droppedLong = 0;     // received, longer than a buffer
    uint64_t droppedOffload = 0;  // received with an offload we did not ask for
    uint64_t droppedDown = 0;     // sent while the interface was down or away
    uint64_t retaken = 0;         // times the interface was taken again
  };

  // FAILED, saying what to do, when the interface cannot be had or its MTU does not fit a buffer. `eventPort` and
  // `timer` outlive this.
  TapChannel(kj::UnixEventPort& eventPort, kj::Timer& timer, kj::StringPtr interfaceName);
  KJ_DISALLOW_COPY_AND_MOVE(TapChannel);

  const Counters& counters() const { return totals; }

  // implements FrameChannel ----------------------------------------
  LinkState linkState() override;
  void forEachCounter(EachCounter each) const override;
  size_t tryRead(kj::ArrayPtr<kj::byte> out) override;
  bool tryWrite(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenReadable() override;
  kj::Promise<void> whenWritable() override;

 private:
  kj::Timer& timer;
  kj::String name;
  kj::AutoCloseFd fd;
  uint16_t mtu;
  bool away = false;
  Counters totals;
  kj::UnixEventPort::FdObserver observer;

  void lost(int error);
  kj::Promise<void> retake();
};

// FAILED, naming the setting, when no interface can have this name.
void requireTapName(kj::StringPtr name);

}  // namespace nexus
