#pragma once
// The link of a guest: a virtio-net device that initd has bound to VFIO, confined and mapped for DMA. Takes the Device
// capability, maps what the driver needs, does the virtio handshake and gives the authority back: once this has
// resolved, no VFIO descriptor is open in the process and the capability is dropped; the mappings live on in the
// returned objects and end with them. Owned by virtionetd. Knows nothing of Nic, rings between processes or RPC
// clients.
#include <kj/async-unix.h>
#include <kj/io.h>
#include <kj/timer.h>

#include "idl/device.capnp.h"
#include "libs/nexus-net-os/frame/frame-device.h"
#include "libs/nexus-net-os/virtio/virtio-counters.h"

namespace nexus {

// How the buffer memory is divided: ids 0 .. receive-1 are receive buffers, receive .. receive+transmit-1 transmit
// buffers.
struct VfioBufferCounts {
  uint32_t receive = 512;
  uint32_t transmit = 512;
};

struct VfioBackend {
  static constexpr uint32_t BUFFER_SIZE = 2048;  // bytes; a received frame begins at offset 12 of its first buffer

  // Poll it while everything below is alive. No offload is negotiated: transmit() refuses (FAILED) a FrameMeta that
  // asks for one.
  kj::Own<FrameDevice> device;

  // The whole buffer memory, mapped readable and writable for as long as this array lives; `device` does not own it.
  kj::Array<kj::byte> buffers;

  // The same memory as a descriptor, for sharing. Sealed against shrinking and growing; not yet against new writable
  // mappings.
  kj::AutoCloseFd bufferMemory;

  VfioBufferCounts counts;
};

// FAILED, in a sentence that says what to do, when the broker's device cannot be used: memory smaller than `counts`
// asks for, structures that do not fit the BARs, features refused. `counters` must outlive the device; they survive a
// second call, which counts on.
kj::Promise<VfioBackend> newVfioBackend(idl::Device::Client device, VfioBufferCounts counts,
                                        kj::UnixEventPort& eventPort, kj::Timer& timer, VirtioNetCounters& counters);

}  // namespace nexus
