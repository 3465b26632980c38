#pragma once
// samgrd: one ServiceRegistry, and a Samgr capability per client on it. Who a client is comes from the socket it was
// given (its export name), never from what it sends. Owned by main; must outlive the capabilities it hands out. Knows
// nothing of sockets.
#include <kj/timer.h>

#include "daemons/samgrd/service-registry.h"
#include "idl/samgr.capnp.h"
#include "libs/nexus-net-os/daemon/status-server.h"
#include "libs/nexus-net-os/rpc/cap-transport.h"

namespace nexus {

class Samgrd {
 public:
  explicit Samgrd(kj::Timer& timer, const RegistryLimits& limits = {});
  KJ_DISALLOW_COPY_AND_MOVE(Samgrd);

  // A service that exists from the start, in the supervisor's scope. FAILED when the name is not 1 to 48 bytes or a
  // bound is reached.
  void registerAtStart(kj::StringPtr name);

  // The capability of one connection of that client.
  idl::Samgr::Client connect(kj::StringPtr client, const PeerCredentials& credentials);

  idl::Status::Client status() { return statusSource.newServer(); }

  struct Counters {
    uint64_t frames = 0;
    uint64_t faults = 0;  // frames answered MALFORMED or UNSUPPORTED by their form
  };

 private:
  ServiceRegistry registry;
  Counters counters;
  StatusSource statusSource;

  StatusReport report() const;
};

}  // namespace nexus
