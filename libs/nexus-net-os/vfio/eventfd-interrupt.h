#pragma once
// An interrupt vector as the eventfd that the kernel signals for it (VFIO_DEVICE_SET_IRQS). Owned by a driver. Knows
// nothing of the device.
#include <kj/async-unix.h>
#include <kj/io.h>

#include "libs/nexus-net-os/virtio/virtio-transport.h"

namespace nexus {

class EventFdInterrupt final : public InterruptSource {
 public:
  // `fd` must be non-blocking.
  EventFdInterrupt(kj::UnixEventPort& eventPort, kj::AutoCloseFd fd);
  KJ_DISALLOW_COPY_AND_MOVE(EventFdInterrupt);

  kj::Promise<void> whenFired() override;
  bool take() override;

 private:
  kj::AutoCloseFd fd;
  kj::UnixEventPort::FdObserver observer;
  bool pending = false;  // read from the descriptor, not yet taken

  void drain();
};

}  // namespace nexus
