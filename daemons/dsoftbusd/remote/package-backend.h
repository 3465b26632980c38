#pragma once
// packagefsd as a ServiceBackend: a session of packagefsd for each peer (Packagefs.newSession), so that a handle means
// something to the peer alone that opened it, and is closed when that peer's session on the bus ends. Owned by the
// proxy. Knows nothing of policy.
#include <kj/function.h>
#include <kj/map.h>

#include "daemons/dsoftbusd/remote/remote-proxy.h"
#include "idl/packagefs.capnp.h"

namespace nexus {

class PackageBackend final : public ServiceBackend {
 public:
  // As many as packagefsd lets one connection have.
  static constexpr size_t MAX_PEERS = 64;

  // `get` gives the capability over the present connection (rpc/cap-reconnect).
  explicit PackageBackend(kj::Function<idl::Packagefs::Client()> get) : get(kj::mv(get)) {}
  KJ_DISALLOW_COPY_AND_MOVE(PackageBackend);

  // OVERLOADED for one peer more than MAX_PEERS. When packagefsd was restarted the request goes to a new session, in
  // which nothing is open: that is asked twice, which no request for reading minds.
  kj::Promise<kj::Array<kj::byte>> call(const RemoteCaller& caller, kj::Array<kj::byte> frame) override;
  void endSession(kj::StringPtr peer) override;

  size_t sessionCount() const { return sessions.size(); }

 private:
  struct Session {
    idl::Packagefs::Client client;
    uint64_t number;
  };

  kj::Function<idl::Packagefs::Client()> get;
  kj::HashMap<kj::String, Session> sessions;  // by the peer's name
  uint64_t made = 0;

  Session& sessionOf(kj::StringPtr peer);
  void forget(kj::StringPtr peer, uint64_t number);
};

}  // namespace nexus
