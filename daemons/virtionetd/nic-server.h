#pragma once
// idl Nic and Attachment as capability servers on a NicLink. Made for each connection; what a client holds dies with
// it. Knows nothing of devices.
#include "daemons/virtionetd/nic-link.h"
#include "idl/nic.capnp.h"
#include "libs/nexus-net-os/daemon/status-server.h"

namespace nexus {

// What Nic.statistics and the daemon's Status tell.
kj::Array<NamedCounter> linkCounters(NicLink& link);

// `link` must outlive every client: the daemon ends with it.
idl::Nic::Client newNicServer(NicLink& link);

}  // namespace nexus
