#pragma once
// One whole handshake of a throw-away key with itself, before anything depends on it: shows that the cryptographic
// libraries work on this machine, and lets them do what they do at first use (OpenSSL reads its configuration file)
// before the sandbox forbids it.
#include "libs/nexus-net-os/base/entropy.h"

namespace nexus {

// FAILED with a sentence when a record sealed at one end does not open at the other.
void checkCryptography(Entropy& entropy);

}  // namespace nexus
