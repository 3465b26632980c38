#include "daemons/virtionetd/vfio-link.h"

#include <kj/debug.h>

namespace nexus {

kj::Promise<OpenLink> VfioLink::open() {
  if (opened) {
    kj::throwFatalException(
        KJ_EXCEPTION(DISCONNECTED, "the device's memory belonged to a client that is gone; a fresh process is needed"));
  }
  opened = true;
  auto backend = co_await newVfioBackend(device.get<idl::Device>(), {geometry.receive, geometry.transmit}, eventPort,
                                         timer, totals);
  auto memory = SharedMemory::adopt(kj::mv(backend.bufferMemory), kj::mv(backend.buffers));
  co_return OpenLink{kj::heap<BufferPool>(kj::mv(memory), geometry), kj::mv(backend.device)};
}

}  // namespace nexus
