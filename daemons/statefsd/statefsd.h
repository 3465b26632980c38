#pragma once
// statefsd: a StateStore as the Statefs capability, as methods and as SF frames. Owned by main; must outlive the
// capabilities it hands out. One call at a time touches the disk, and the event loop waits for it: a value is small.
// Knows nothing of sockets, and nothing of other nodes: what they may ask is judged before it comes here.
#include <kj/timer.h>

#include "daemons/statefsd/state-store.h"
#include "idl/statefs.capnp.h"
#include "libs/nexus-net-os/daemon/status-server.h"

namespace nexus {

class Statefsd {
 public:
  Statefsd(StateStore store, kj::Timer& timer);
  KJ_DISALLOW_COPY_AND_MOVE(Statefsd);

  // The same for every client: nothing in here belongs to one.
  idl::Statefs::Client connect();

  // Degraded once the disk refused something, and while records are damaged.
  idl::Status::Client status() { return statusSource.newServer(); }

  StateStore store;

  struct Counters {
    uint64_t puts = 0, gets = 0, deletes = 0, lists = 0;
    uint64_t frames = 0, faults = 0;  // faults: frames refused by their form
    uint64_t ioErrors = 0, integrityViolations = 0;
  };
  Counters counters;

  // Counts a status that tells of the disk.
  sf::Status noted(sf::Status status);

 private:
  StatusSource statusSource;

  StatusReport report() const;
};

}  // namespace nexus
