#pragma once
// Numbers in network order at an offset of a byte range, and the Internet checksum (RFC 1071). The caller has checked
// the length; KJ's bounds check is the second line.
#include <kj/common.h>

#include <cstdint>

namespace nexus {

inline uint16_t be16(kj::ArrayPtr<const kj::byte> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

inline uint32_t be32(kj::ArrayPtr<const kj::byte> bytes, size_t at) {
  return static_cast<uint32_t>(be16(bytes, at)) << 16 | be16(bytes, at + 2);
}

inline void putBe16(kj::ArrayPtr<kj::byte> bytes, size_t at, uint16_t value) {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 255;
}

inline void putBe32(kj::ArrayPtr<kj::byte> bytes, size_t at, uint32_t value) {
  putBe16(bytes, at, value >> 16);
  putBe16(bytes, at + 2, value & 0xffff);
}

// 0 over a range that contains its own correct checksum. `sum` continues an earlier partial sum.
inline uint16_t internetChecksum(kj::ArrayPtr<const kj::byte> bytes, uint32_t sum = 0) {
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += be16(bytes, i);
  if (bytes.size() % 2 != 0) sum += static_cast<uint32_t>(bytes[bytes.size() - 1]) << 8;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

}  // namespace nexus
