#include "daemons/packagefsd/packagefsd.h"
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/client-exports.h"
#include "libs/nexus-net-os/daemon/markers.h"
#include "libs/nexus-net-os/daemon/sandbox.h"

namespace nexus {
namespace {

kj::Promise<void> run(DaemonContext& context, config::Packagefsd::Reader config) {
  Packagefsd packagefsd(PackageFiles(config.getStore()), context.timer());
  ClientExports exports{"packagefsd"_kj, "packagefs-"_kj,
                        [&](kj::StringPtr, const PeerCredentials&) { return packagefsd.connect(); },
                        [&] { return packagefsd.status(); }};
  exports.serve(context);
  if (config.getSandbox()) enterSandbox(SandboxProfile::STORE);
  emitMarker(marker::PACKAGEFSD_READY);
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

}  // namespace
}  // namespace nexus

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Packagefsd>(
      argc, argv, {"packagefsd", "Serves single files of the bundles of one node, read-only."}, nexus::run);
}
