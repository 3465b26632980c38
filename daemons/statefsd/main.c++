#include <kj/debug.h>

#include "daemons/statefsd/statefsd.h"
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"
#include "libs/nexus-net-os/daemon/markers.h"
#include "libs/nexus-net-os/daemon/sandbox.h"

namespace {

constexpr auto CLIENT_PREFIX = "statefs-"_kj;
constexpr auto STATUS = "status-statefsd"_kj;

kj::Promise<void> run(nexus::DaemonContext& context, nexus::config::Statefsd::Reader config) {
  nexus::Statefsd statefsd(nexus::StateStore(config.getFolder()), context.timer());
  for (auto& name : context.exportNames()) {
    KJ_REQUIRE(name == STATUS || (name.startsWith(CLIENT_PREFIX) && name.size() > CLIENT_PREFIX.size()),
               "statefsd exports statefs-CLIENT and status-statefsd", name);
    auto factory = [&, isStatus = name == STATUS](const nexus::PeerCredentials&) -> capnp::Capability::Client {
      if (isStatus) return statefsd.status();
      return statefsd.connect();
    };
    context.serve(name, kj::mv(factory));
  }
  if (config.getSandbox()) nexus::enterSandbox(nexus::SandboxProfile::STATE_STORE);
  nexus::emitMarker(nexus::marker::STATEFSD_READY);
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

}  // namespace

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Statefsd>(
      argc, argv, {"statefsd", "Keeps small values by key on the disk of one node."}, run);
}
