#pragma once
// packagefsd: the package files as the Packagefs capability, as methods and as PK frames, one session for each
// connection and for each newSession(). Owned by main; must outlive the capabilities it hands out. Knows nothing of
// sockets.
#include <kj/timer.h>

#include "daemons/packagefsd/package-session.h"
#include "idl/packagefs.capnp.h"
#include "libs/nexus-net-os/daemon/status-server.h"

namespace nexus {

class Packagefsd {
 public:
  static constexpr size_t MAX_SESSIONS = 64;  // of one connection, made by newSession()

  Packagefsd(PackageFiles files, kj::Timer& timer);
  KJ_DISALLOW_COPY_AND_MOVE(Packagefsd);

  // The capability of one connection.
  idl::Packagefs::Client connect();

  idl::Status::Client status() { return statusSource.newServer(); }

  struct Counters {
    uint64_t frames = 0, refusals = 0;  // frames answered with a status that is not OK
    uint64_t stats = 0, reads = 0;      // methods
    uint64_t ioFaults = 0;              // the disk could not be read
    uint64_t sessionsNow = 0, sessionsRefused = 0;
  };

 private:
  friend class PackagefsServer;

  PackageFiles files;
  Counters counters;
  StatusSource statusSource;

  StatusReport report() const;
};

}  // namespace nexus
