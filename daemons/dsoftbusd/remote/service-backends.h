#pragma once
// The services behind the proxy that know nobody, as ServiceBackends: samgrd, bundlemgrd and statefsd, reached through
// the osLite method of the capability that dsoftbusd was given for each. Owned by the proxy. Knows nothing of policy;
// holds no connection of its own. packagefsd, which keeps something for each peer: remote/package-backend.h.
#include <kj/function.h>

#include "daemons/dsoftbusd/remote/remote-proxy.h"
#include "idl/bundlemgr.capnp.h"
#include "idl/samgr.capnp.h"
#include "idl/statefs.capnp.h"

namespace nexus {

// `get` gives the capability over the present connection (rpc/cap-reconnect), at each call.
kj::Own<ServiceBackend> newSamgrBackend(kj::Function<idl::Samgr::Client()> get);
kj::Own<ServiceBackend> newBundlemgrBackend(kj::Timer& timer, kj::Function<idl::Bundlemgr::Client()> get);
kj::Own<ServiceBackend> newStatefsBackend(kj::Function<idl::Statefs::Client()> get);

// A reply as it is, or the first MAX_CALL_REPLY + 1 bytes of it: enough for the proxy to refuse it.
kj::Array<kj::byte> cutReply(capnp::Data::Reader reply);

// The osLite method of one of the interfaces that have it: osLite @n (frame :Data) -> (reply :Data).
template <typename Client>
kj::Promise<kj::Array<kj::byte>> callOsLite(Client client, kj::ArrayPtr<const kj::byte> frame) {
  auto request = client.osLiteRequest();
  request.setFrame(frame);
  return request.send().then([](auto&& response) { return cutReply(response.getReply()); });
}

}  // namespace nexus
