#pragma once
// Reads the node's identity file: the Ed25519 seed as 64 hexadecimal digits. Refuses a file that anybody but its owner
// can read or write.
#include "daemons/dsoftbusd/bus-settings.h"

namespace nexus {

kj::OneOf<SecretBytes, SettingsError> readIdentityFile(kj::StringPtr path);

}  // namespace nexus
