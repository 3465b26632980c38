#pragma once
// Stands between the wire and lwIP and refuses what lwIP should not see: frames that contradict themselves, impossible
// addresses, and the packets that are known to be dangerous. Pure: bytes in, verdict out; no lwIP, no state, no clock.
// Owned by nobody; LwipStack calls it.
//
// It refuses only what a standard forbids (named at each check); what is merely unwanted is lwIP's to drop.
#include <kj/array.h>

#include <array>
#include <cstdint>

#include "libs/nexus-net-os/net/mac-address.h"

namespace nexus {

// One name for each reason; the counters of StackCounters carry the same names with "rx" before them.
#define NEXUS_FILTER_VERDICTS(X) \
  X(Reflected)                   \
  X(Truncated)                   \
  X(BadLength)                   \
  X(Oversized)                   \
  X(ForeignMac)                  \
  X(BadSourceMac)                \
  X(Martian)                     \
  X(Land)                        \
  X(LoopbackDestination)         \
  X(LinkBroadcast)               \
  X(BadFragment)                 \
  X(SourceRoute)                 \
  X(ZeroChecksum)                \
  X(BadNeighbour)                \
  X(BadPacketTooBig)             \
  X(BadArp)                      \
  X(UnknownType)

enum class FilterVerdict {
  Pass,
#define NEXUS_VERDICT(name) name,
  NEXUS_FILTER_VERDICTS(NEXUS_VERDICT)
#undef NEXUS_VERDICT
};

// What the filter must know of the node.
struct FilterView {
  MacAddress mac;
  size_t mtu = 1500;
  uint32_t ipv4 = 0;  // host order; 0: none
  kj::byte prefixLength = 0;
  std::array<std::array<kj::byte, 16>, 3> ipv6{};
  size_t ipv6Count = 0;
};

class FrameFilter {
 public:
  // Bytes that must be contiguous in `head`: all of an Ethernet, IP and TCP header with options. Frames that are not
  // TCP come whole.
  static constexpr size_t MIN_HEAD = 14 + 60 + 60;

  // Ethernet's minimum without the checksum: shorter frames are padded before they come here.
  static constexpr size_t MIN_FRAME = 60;

  // `head` is the frame's beginning in private memory, `total` the length of the frame. A UDP datagram that is shorter
  // than its IP packet says is cut to its own length (RFC 768): `head` may be changed then.
  static FilterVerdict check(kj::ArrayPtr<kj::byte> head, size_t total, const FilterView& view);

  // For a frame that begins with `head`: length of all headers if it is an unfragmented TCP segment whose headers lie
  // in `head`, else 0.
  static size_t tcpHeaderLength(kj::ArrayPtr<const kj::byte> head);
};

kj::StringPtr KJ_STRINGIFY(FilterVerdict verdict);

}  // namespace nexus
