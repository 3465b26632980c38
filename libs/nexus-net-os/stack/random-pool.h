#pragma once
// 32-bit random values for lwIP, which wants one for every packet (RFC 7739): drawn from the Entropy 64 at a time,
// because a system call for each would cost more than the rest of the packet. Each value is handed out once and then
// forgotten. Owned by LwipStack. Not for keys or ports: those ask the Entropy themselves.
#include "libs/nexus-net-os/base/entropy.h"

namespace nexus {

class RandomPool final {
 public:
  static constexpr size_t VALUES = 64;

  explicit RandomPool(Entropy& entropy) : entropy(entropy) {}
  KJ_DISALLOW_COPY_AND_MOVE(RandomPool);

  uint32_t next() {
    if (left == 0) {
      entropy.fill(kj::arrayPtr(reinterpret_cast<kj::byte*>(values), sizeof(values)));
      left = VALUES;
    }
    uint32_t value = values[--left];
    values[left] = 0;
    return value;
  }

 private:
  Entropy& entropy;
  uint32_t values[VALUES];
  size_t left = 0;
};

}  // namespace nexus
