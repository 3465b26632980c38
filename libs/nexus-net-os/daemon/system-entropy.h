#pragma once
// The system's generator, through libsodium. The only place that draws from it.
#include "libs/nexus-net-os/base/entropy.h"

namespace nexus {

class SystemEntropy final : public Entropy {
 public:
  SystemEntropy();  // FAILED when libsodium cannot start
  void fill(kj::ArrayPtr<kj::byte> out) override;
};

}  // namespace nexus
