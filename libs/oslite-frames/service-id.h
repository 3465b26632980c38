#pragma once
// The number under which a service is known to others: FNV-1a, 64 bits, of its name.
#include <kj/common.h>

#include <cstdint>

namespace nexus::oslite {

constexpr uint64_t serviceId(kj::ArrayPtr<const char> name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < name.size(); i++) hash = (hash ^ static_cast<uint8_t>(name[i])) * 0x00000100000001b3;
  return hash;
}

}  // namespace nexus::oslite
