#pragma once
// The two services behind the proxy as ServiceBackends: samgrd and bundlemgrd, reached through the osLite method of the
// capability that dsoftbusd was given for each. Owned by the proxy. Knows nothing of policy; holds no connection of its
// own.
#include <kj/function.h>

#include "daemons/dsoftbusd/remote-proxy.h"
#include "idl/bundlemgr.capnp.h"
#include "idl/samgr.capnp.h"

namespace nexus {

// `get` gives the capability over the present connection (rpc/cap-reconnect), at each call.
kj::Own<ServiceBackend> newSamgrBackend(kj::Function<idl::Samgr::Client()> get);
kj::Own<ServiceBackend> newBundlemgrBackend(kj::Function<idl::Bundlemgr::Client()> get);

}  // namespace nexus
