#pragma once
// What all OS-lite frames share: the header, little-endian numbers in byte arrays, and checked steps through a frame.
// For the codecs of this folder only. A frame comes from outside: every struct is copied out of it after its length was
// checked.
#include <kj/array.h>
#include <kj/vector.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "libs/oslite-frames/oslite_generated.h"

namespace nexus::oslite {

constexpr uint8_t VERSION = 1;
constexpr uint8_t REPLY_BIT = 0x80;
using Magic = std::array<uint8_t, 2>;

// Reads structs and byte strings off the front of a frame.
class FrameReader {
 public:
  explicit FrameReader(kj::ArrayPtr<const kj::byte> frame) : rest(frame) {}

  // Copies the next sizeof(T) bytes; false when there are not as many.
  template <typename T>
  bool tryRead(T& out) {
    if (rest.size() < sizeof(T)) return false;
    memcpy(static_cast<void*>(&out), rest.begin(), sizeof(T));
    rest = rest.slice(sizeof(T), rest.size());
    return true;
  }

  // The next `count` bytes, in place; null when there are not as many.
  kj::Maybe<kj::ArrayPtr<const kj::byte>> tryTake(size_t count) {
    if (rest.size() < count) return nullptr;
    auto taken = rest.slice(0, count);
    rest = rest.slice(count, rest.size());
    return taken;
  }

  size_t remaining() const { return rest.size(); }

 private:
  kj::ArrayPtr<const kj::byte> rest;
};

template <typename T>
void append(kj::Vector<kj::byte>& out, const T& fixedPart) {
  out.addAll(kj::arrayPtr(reinterpret_cast<const kj::byte*>(&fixedPart), sizeof(T)));
}

// A little-endian number of N bytes, both ways.
template <size_t N>
std::array<uint8_t, N> le(uint64_t value) {
  std::array<uint8_t, N> bytes;
  for (size_t i = 0; i < N; i++) bytes[i] = value >> 8 * i;
  return bytes;
}

template <uint16_t N>
uint64_t fromLe(const flatbuffers::Array<uint8_t, N>* bytes) {
  uint64_t value = 0;
  for (uint16_t i = 0; i < N; i++) value |= uint64_t(bytes->Get(i)) << 8 * i;
  return value;
}

// The view that generated constructors take.
template <size_t N>
flatbuffers::span<const uint8_t, N> span(const std::array<uint8_t, N>& bytes) {
  return flatbuffers::span<const uint8_t, N>(bytes);
}

inline wire::Header header(const Magic& magic, uint8_t op) {
  return wire::Header(span(magic), VERSION, op);
}

inline bool hasMagic(const wire::Header& header, const Magic& magic) {
  return header.magic()->Get(0) == magic[0] && header.magic()->Get(1) == magic[1];
}

// Whether this heads the reply to `op`.
inline bool isReplyTo(const wire::Header& header, const Magic& magic, uint8_t op) {
  return hasMagic(header, magic) && header.version() == VERSION && header.op() == (op | REPLY_BIT);
}

}  // namespace nexus::oslite
