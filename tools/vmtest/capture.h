#pragma once
// What one node's link carried: frames with stamps on the host's clock, and the counters that explain a run. Owned by
// the run, one per node. Knows nothing of files or sockets. Memory is bounded: frames beyond the limit are counted, not
// kept.
#include <kj/array.h>
#include <kj/vector.h>

#include "tools/vmtest/packet-decode.h"

namespace nexus::vmtest {

// The ports and the group that the bus uses in a guest.
constexpr uint16_t DISCOVERY_PORT = 37020;
constexpr uint16_t SESSION_PORTS[2] = {34567, 34568};  // node A, node B

struct CaptureCounters {
  uint64_t frames = 0, bytes = 0;
  uint64_t arp = 0, icmp = 0, udp = 0, tcp = 0, other = 0;
  uint64_t udpDiscovery = 0, tcpSession = 0;
  uint64_t syn = 0, synAck = 0, rst = 0;              // of session ports
  uint64_t udpDiscoveryIpv6 = 0, tcpSessionIpv6 = 0;  // of udpDiscovery and tcpSession, those over IPv6
};

struct CapturedFrame {
  uint64_t stamp;  // nanoseconds on the writer's clock; Capture::hostStamp() translates
  uint32_t original;
  bool sent;  // by this node, as its MAC says
  kj::Array<kj::byte> bytes;
};

class Capture {
 public:
  static constexpr uint64_t KEPT_BYTES_MAX = 64ull << 20;

  explicit Capture(kj::ArrayPtr<const kj::byte> mac, uint64_t keptBytesMax = KEPT_BYTES_MAX);

  // `stamp` on the writer's clock, `hostNow` nanoseconds since 1970 when the frame was read. The smallest difference
  // seen is taken for the distance of the two clocks: reading is never early, only late.
  void add(uint64_t stamp, uint64_t hostNow, kj::ArrayPtr<const kj::byte> frame, uint32_t original);

  const CaptureCounters& counters() const { return totals; }
  kj::ArrayPtr<const CapturedFrame> frames() const { return kept; }
  uint64_t dropped() const { return droppedFrames; }
  uint64_t hostStamp(const CapturedFrame& frame) const { return uint64_t(int64_t(frame.stamp) + clockDistance); }

 private:
  kj::byte mac[6];
  const uint64_t keptBytesMax;
  CaptureCounters totals;
  kj::Vector<CapturedFrame> kept;
  uint64_t keptBytes = 0, droppedFrames = 0;
  int64_t clockDistance = 0;
};

// "02:..." into bytes; the harness's own constants only.
kj::Array<kj::byte> macBytes(kj::StringPtr text);

}  // namespace nexus::vmtest
