#pragma once
// bundlemgrd: a BundleStore as the Bundlemgr capability, as methods and as BN frames. Every answer is read from the
// store at that moment. Owned by main; must outlive the capabilities it hands out. Knows nothing of sockets.
#include <kj/timer.h>

#include "daemons/bundlemgrd/bundle-store.h"
#include "idl/bundlemgr.capnp.h"
#include "libs/nexus-net-os/daemon/status-server.h"

namespace nexus {

class Bundlemgrd {
 public:
  // Reads the store once, so that a store that cannot be read is told at the start: FAILED.
  Bundlemgrd(BundleStore store, kj::Timer& timer);
  KJ_DISALLOW_COPY_AND_MOVE(Bundlemgrd);

  // The same for every client: nothing in here belongs to one.
  idl::Bundlemgr::Client connect();

  // Degraded while a bundle is refused or the store cannot be read.
  idl::Status::Client status() { return statusSource.newServer(); }

  // The store as it is now; refused bundles are logged when they change. FAILED as BundleStore.
  StoreListing list();
  kj::Array<kj::byte> image();

  struct Counters {
    uint64_t lists = 0, images = 0, frames = 0;
    uint64_t faults = 0;       // frames answered MALFORMED or UNSUPPORTED by their form
    uint64_t storeFaults = 0;  // the store could not be read or exceeds a bound
  };
  Counters counters;

 private:
  BundleStore store;
  size_t refusedNow = 0;
  StatusSource statusSource;

  StatusReport report();

  void noteRefused(const StoreListing& listing);
};

}  // namespace nexus
