#pragma once
// Randomness as something that is handed in. The system's generator is daemon/system-entropy; tests use
// testing/fixed-entropy, so that a run can be repeated. Knows nothing of who draws from it.
#include <kj/common.h>

#include <cstdint>
#include <cstring>

namespace nexus {

class Entropy {
 public:
  virtual ~Entropy() noexcept(false) = default;

  // Fills `out` with bytes nobody can predict.
  virtual void fill(kj::ArrayPtr<kj::byte> out) = 0;

  uint32_t u32() {
    kj::byte bytes[sizeof(uint32_t)];
    fill(bytes);
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
  }
};

}  // namespace nexus
