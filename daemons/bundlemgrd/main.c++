#include "daemons/bundlemgrd/bundlemgrd.h"
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/client-exports.h"
#include "libs/nexus-net-os/daemon/markers.h"
#include "libs/nexus-net-os/daemon/sandbox.h"

namespace nexus {
namespace {

kj::Promise<void> run(DaemonContext& context, config::Bundlemgrd::Reader config) {
  Bundlemgrd bundlemgrd(BundleStore(config.getStore()), context.timer());
  ClientExports exports{"bundlemgrd"_kj, "bundlemgr-"_kj,
                        [&](kj::StringPtr, const PeerCredentials&) { return bundlemgrd.connect(); },
                        [&] { return bundlemgrd.status(); }};
  exports.serve(context, RpcLimits::forLargeMessages());
  if (config.getSandbox()) enterSandbox(SandboxProfile::STORE);
  emitMarker(marker::BUNDLEMGRD_READY);
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

}  // namespace
}  // namespace nexus

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Bundlemgrd>(
      argc, argv, {"bundlemgrd", "Lists the bundles of one node and serves their image."}, nexus::run);
}
