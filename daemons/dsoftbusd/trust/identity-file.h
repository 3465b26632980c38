#pragma once
// The node's identity file: the Ed25519 seed as 64 hexadecimal digits. Read only when nobody but its owner can read or
// write it, and never written over. Or a systemd credential, "credential:NAME": the file NAME in the folder that the
// service manager made for this service alone, $CREDENTIALS_DIRECTORY.
#include "daemons/dsoftbusd/bus-settings.h"

namespace nexus {

kj::OneOf<SecretBytes, SettingsError> readIdentityFile(kj::StringPtr path);

// The same with the credentials in that folder; null: there is none. A credential may be readable by a group, because
// the service manager lets a service's own user in that way; it is never readable or writable by others.
kj::OneOf<SecretBytes, SettingsError> readIdentity(kj::StringPtr pathOrCredential,
                                                   kj::Maybe<kj::StringPtr> credentialsFolder);

// Makes the file with mode 0600 and the seed in it, on the disk when this returns. What is wrong, if it could not be
// made; then there is no half-written file. Anything at that path, a dangling symbolic link too, is left as it is.
kj::Maybe<SettingsError> createIdentityFile(kj::StringPtr path, const SecretBytes& seed);

// Whether anything is at that path.
bool identityFileExists(kj::StringPtr path);

}  // namespace nexus
