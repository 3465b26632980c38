#include "libs/nexus-net-os/daemon/system-entropy.h"

#include <kj/debug.h>
#include <sodium.h>

namespace nexus {

SystemEntropy::SystemEntropy() {
  KJ_REQUIRE(sodium_init() >= 0, "libsodium could not start");
}

void SystemEntropy::fill(kj::ArrayPtr<kj::byte> out) {
  randombytes_buf(out.begin(), out.size());
}

}  // namespace nexus
