#include "daemons/statefsd/statefsd.h"
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/client-exports.h"
#include "libs/nexus-net-os/daemon/markers.h"
#include "libs/nexus-net-os/daemon/sandbox.h"

namespace nexus {
namespace {

kj::Promise<void> run(DaemonContext& context, config::Statefsd::Reader config) {
  Statefsd statefsd(StateStore(config.getFolder()), context.timer());
  ClientExports exports{"statefsd"_kj, "statefs-"_kj,
                        [&](kj::StringPtr, const PeerCredentials&) { return statefsd.connect(); },
                        [&] { return statefsd.status(); }};
  exports.serve(context);
  if (config.getSandbox()) enterSandbox(SandboxProfile::STATE_STORE);
  emitMarker(marker::STATEFSD_READY);
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

}  // namespace
}  // namespace nexus

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Statefsd>(
      argc, argv, {"statefsd", "Keeps small values by key on the disk of one node."}, nexus::run);
}
