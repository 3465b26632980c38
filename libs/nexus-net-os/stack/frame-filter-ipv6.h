#pragma once
// The IPv6 half of the frame filter: addresses, extension headers, neighbour discovery, Packet Too Big. Called by
// FrameFilter only.
#include "libs/nexus-net-os/stack/frame-filter.h"

namespace nexus {

// `ip` is the packet as far as it is in private memory, `available` its length in the frame.
FilterVerdict checkIpv6(kj::ArrayPtr<kj::byte> ip, size_t available, bool linkGroup, const FilterView& view);

}  // namespace nexus
