#pragma once
// The tap and stream backends as a link: a CopyingDevice on fresh buffers each time, all on one channel that stays
// open. Owned by the daemon. Knows nothing of what the channel is.
#include "daemons/virtionetd/link-backend.h"
#include "libs/nexus-net-os/base/entropy.h"
#include "libs/nexus-net-os/frame/copying-device.h"

namespace nexus {

class CopyingLink final : public LinkBackend {
 public:
  // `name` has static lifetime. FAILED when the geometry is not valid.
  CopyingLink(kj::StringPtr name, kj::Own<FrameChannel> channel, const MacAddress& mac, const BufferGeometry& geometry)
      : label(name), channel(kj::mv(channel)), mac(mac), geometry(geometry) {}

  // implements LinkBackend ----------------------------------------
  kj::StringPtr name() override { return label; }
  kj::Promise<OpenLink> open() override;
  void forEachCounter(EachCounter each) const override { channel->forEachCounter(each); }

 private:
  kj::StringPtr label;
  kj::Own<FrameChannel> channel;
  MacAddress mac;
  BufferGeometry geometry;
};

// The address that the text says; null when it is empty. FAILED when the text is no address a station may have.
kj::Maybe<MacAddress> configuredMac(kj::StringPtr text);

// A locally administered, individual one.
MacAddress randomMac(Entropy& entropy);

}  // namespace nexus
