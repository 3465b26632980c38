#include <kj/debug.h>

#include "daemons/packagefsd/packagefsd.h"
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"
#include "libs/nexus-net-os/daemon/markers.h"
#include "libs/nexus-net-os/daemon/sandbox.h"

namespace {

constexpr auto CLIENT_PREFIX = "packagefs-"_kj;
constexpr auto STATUS = "status-packagefsd"_kj;

kj::Promise<void> run(nexus::DaemonContext& context, nexus::config::Packagefsd::Reader config) {
  nexus::Packagefsd packagefsd(nexus::PackageFiles(config.getStore()), context.timer());
  for (auto& name : context.exportNames()) {
    KJ_REQUIRE(name == STATUS || (name.startsWith(CLIENT_PREFIX) && name.size() > CLIENT_PREFIX.size()),
               "packagefsd exports packagefs-CLIENT and status-packagefsd", name);
    auto factory = [&, isStatus = name == STATUS](const nexus::PeerCredentials&) -> capnp::Capability::Client {
      if (isStatus) return packagefsd.status();
      return packagefsd.connect();
    };
    context.serve(name, kj::mv(factory));
  }
  if (config.getSandbox()) nexus::enterSandbox(nexus::SandboxProfile::STORE);
  nexus::emitMarker(nexus::marker::PACKAGEFSD_READY);
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

}  // namespace

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Packagefsd>(
      argc, argv, {"packagefsd", "Serves single files of the bundles of one node, read-only."}, run);
}
