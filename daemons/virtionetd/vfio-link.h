#pragma once
// The vfio backend as a link: a virtio-net device from the broker. Opens once in the life of the process: the DMA
// memory is sealed to its first client, and the sandbox leaves no call to map another. Owned by the daemon.
#include "daemons/virtionetd/backend-vfio.h"
#include "daemons/virtionetd/link-backend.h"
#include "libs/nexus-net-os/rpc/cap-reconnect.h"

namespace nexus {

class VfioLink final : public LinkBackend {
 public:
  // All must outlive this. `device` is the import of the broker's Device.
  VfioLink(CapReconnect& device, const BufferGeometry& geometry, kj::UnixEventPort& eventPort, kj::Timer& timer)
      : device(device), geometry(geometry), eventPort(eventPort), timer(timer) {}

  // implements LinkBackend ----------------------------------------
  kj::StringPtr name() override { return "vfio"; }
  kj::Promise<OpenLink> open() override;
  void forEachCounter(EachCounter each) const override { totals.forEach(each); }

 private:
  CapReconnect& device;
  BufferGeometry geometry;
  kj::UnixEventPort& eventPort;
  kj::Timer& timer;
  VirtioNetCounters totals;
  bool opened = false;
};

}  // namespace nexus
