#pragma once
// NXBI v1: all files of all bundles in one image. One decoder, one encoder; pure bytes.
//
//   "NXBI", version u8 = 1, count u16, then `count` entries without gaps, and nothing after the last:
//   bundle len8, version len8, path len16, kind u16 (0 = file), data len32
//
// Numbers are little-endian. Bundle, version and path are byte strings of at least one byte. The views in a decoded
// image point into it.
#include <kj/array.h>

#include <cstdint>

namespace nexus::nxbi {

constexpr uint16_t KIND_FILE = 0;

struct Entry {
  kj::ArrayPtr<const char> bundle;   // 1 to 255 bytes
  kj::ArrayPtr<const char> version;  // 1 to 255 bytes
  kj::ArrayPtr<const char> path;     // 1 to 65535 bytes
  uint16_t kind;
  kj::ArrayPtr<const kj::byte> data;  // less than 4 GiB

  bool operator==(const Entry& other) const {
    return bundle == other.bundle && version == other.version && path == other.path && kind == other.kind &&
           data == other.data;
  }
};

// Null when a field or the number of entries (65535) exceeds its bound.
kj::Maybe<kj::Array<kj::byte>> tryEncodeImage(kj::ArrayPtr<const Entry> entries);

// Null on any fault.
kj::Maybe<kj::Array<Entry>> decodeImage(kj::ArrayPtr<const kj::byte> image);

}  // namespace nexus::nxbi
