#include "libs/nexus-net-os/virtio/virtio-counters.h"

#include <kj/debug.h>

namespace nexus {

kj::StringPtr faultName(DeviceFault fault) {
  switch (fault) {
    case DeviceFault::USED_INDEX_JUMP:
      return "used-index-jump"_kj;
    case DeviceFault::ID_OUT_OF_RANGE:
      return "id-out-of-range"_kj;
    case DeviceFault::ID_NOT_OUTSTANDING:
      return "id-not-outstanding"_kj;
    case DeviceFault::LENGTH_TOO_LARGE:
      return "length-too-large"_kj;
    case DeviceFault::HEADER_TRUNCATED:
      return "header-truncated"_kj;
    case DeviceFault::BUFFER_COUNT_ZERO:
      return "buffer-count-zero"_kj;
    case DeviceFault::BUFFER_COUNT_BEYOND:
      return "buffer-count-beyond"_kj;
    case DeviceFault::BUFFER_EMPTY:
      return "buffer-empty"_kj;
    case DeviceFault::NEEDS_RESET:
      return "needs-reset"_kj;
    case DeviceFault::RESET_UNASKED:
      return "reset-unasked"_kj;
    case DeviceFault::GONE:
      return "gone"_kj;
    case DeviceFault::CONFIG_UNSTABLE:
      return "config-unstable"_kj;
    case DeviceFault::HANDSHAKE:
      return "handshake"_kj;
  }
  KJ_UNREACHABLE;
}

}  // namespace nexus
