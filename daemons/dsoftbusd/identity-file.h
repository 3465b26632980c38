#pragma once
// The node's identity file: the Ed25519 seed as 64 hexadecimal digits. Read only when nobody but its owner can read or
// write it, and never written over.
#include "daemons/dsoftbusd/bus-settings.h"

namespace nexus {

kj::OneOf<SecretBytes, SettingsError> readIdentityFile(kj::StringPtr path);

// Makes the file with mode 0600 and the seed in it, on the disk when this returns. What is wrong, if it could not be
// made; then there is no half-written file. Anything at that path, a dangling symbolic link too, is left as it is.
kj::Maybe<SettingsError> createIdentityFile(kj::StringPtr path, const SecretBytes& seed);

// Whether anything is at that path.
bool identityFileExists(kj::StringPtr path);

}  // namespace nexus
