#pragma once
// The StreamRegistration capability, for a local program. Dropping it ends the registration and gives its place back;
// the stream that it gave last stays with its holder. Knows nothing of how registrations are bounded.
#include "daemons/dsoftbusd/resume/stream-registration.h"
#include "idl/dsoftbus.capnp.h"

namespace nexus {

// place: kept as long as the capability.
idl::StreamRegistration::Client newStreamRegistrationServer(kj::Own<StreamRegistration> registration,
                                                            kj::Own<void> place);

}  // namespace nexus
