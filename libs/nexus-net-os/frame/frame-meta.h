#pragma once
// What travels beside the bytes of a frame: the offload fields of virtio_net_hdr (virtio 1.1, 5.1.6), in host order.
// Zero means none.
#include <cstdint>

namespace nexus {

struct FrameMeta {
  static constexpr uint8_t NEEDS_CHECKSUM = 1;  // csumStart and csumOffset are valid; the sum there is partial
  static constexpr uint8_t DATA_VALID = 2;      // the device has verified the checksum

  enum class Gso : uint8_t { NONE = 0, TCP_V4 = 1, UDP = 3, TCP_V6 = 4 };

  uint8_t flags = 0;
  Gso gso = Gso::NONE;
  uint16_t gsoSize = 0;       // payload bytes per segment on the wire
  uint16_t headerLength = 0;  // bytes of headers to repeat before each segment
  uint16_t csumStart = 0;     // offset in the frame where the sum begins
  uint16_t csumOffset = 0;    // offset from csumStart where the sum is stored

  bool operator==(const FrameMeta&) const = default;
};

}  // namespace nexus
