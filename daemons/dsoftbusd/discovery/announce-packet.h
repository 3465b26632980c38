#pragma once
// The announcement that a node sends on UDP 37020, version 1. Encoder and decoder in one place; values, no state.
//
//   offset  size  field
//   0       4     "NXSB"
//   4       1     version, 1
//   5       1     device id length D, 1 to 64
//   6       D     device id, UTF-8
//   6+D     2     session port, big-endian
//   8+D     32    Noise static public key
//   40+D    1     service count, 0 to 16
//   41+D    ..    per service: length 1 to 64, then its UTF-8 name
//   ..      ..    of a node in a mesh: "MESH", length 1 to 64, the UTF-8 tag; decoders that do not know it ignore it
//
// The decoder goes in field order and the first fault wins; any other bytes after the last service are ignored. There
// is no address in the packet: the peer's address is the source of the datagram. Nothing in an announcement is
// authenticated.
#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>

#include <cstdint>

#include "daemons/dsoftbusd/crypto/key-bytes.h"

namespace nexus {

constexpr size_t ANNOUNCE_MAX_NAME = 64;  // bytes: device id, service names, mesh tag
constexpr size_t ANNOUNCE_MAX_SERVICES = 16;
constexpr size_t ANNOUNCE_MAX_BYTES = 1145 + 69;  // the largest legal packet, with a mesh tag

struct Announce {
  kj::String deviceId;
  uint16_t sessionPort = 0;
  KeyBytes staticKey{};
  kj::Array<kj::String> services;
  kj::String mesh{};  // empty: none

  Announce clone() const;
  bool operator==(const Announce& other) const;
};

struct AnnounceError {
  enum class Kind { TRUNCATED, BAD_MAGIC, UNSUPPORTED_VERSION, INVALID_INPUT, UTF8 };
  Kind kind;
  uint8_t version = 0;    // of UNSUPPORTED_VERSION
  kj::StringPtr field{};  // of INVALID_INPUT: "device_id length", "service count", "service name length", "mesh
                          // tag length"

  bool operator==(const AnnounceError&) const = default;
};
kj::String KJ_STRINGIFY(const AnnounceError& error);

kj::OneOf<Announce, AnnounceError> decodeAnnounce(kj::ArrayPtr<const kj::byte> packet);
kj::OneOf<kj::Array<kj::byte>, AnnounceError> encodeAnnounce(const Announce& announce);

}  // namespace nexus
