#include <kj/debug.h>

#include "daemons/bundlemgrd/bundlemgrd.h"
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"
#include "libs/nexus-net-os/daemon/markers.h"
#include "libs/nexus-net-os/daemon/sandbox.h"

namespace {

constexpr auto CLIENT_PREFIX = "bundlemgr-"_kj;
constexpr auto STATUS = "status-bundlemgrd"_kj;

kj::Promise<void> run(nexus::DaemonContext& context, nexus::config::Bundlemgrd::Reader config) {
  nexus::Bundlemgrd bundlemgrd(nexus::BundleStore(config.getStore()), context.timer());
  for (auto& name : context.exportNames()) {
    KJ_REQUIRE(name == STATUS || (name.startsWith(CLIENT_PREFIX) && name.size() > CLIENT_PREFIX.size()),
               "bundlemgrd exports bundlemgr-CLIENT and status-bundlemgrd", name);
    auto factory = [&, isStatus = name == STATUS](const nexus::PeerCredentials&) -> capnp::Capability::Client {
      if (isStatus) return bundlemgrd.status();
      return bundlemgrd.connect();
    };
    context.serve(name, kj::mv(factory), nexus::RpcLimits::forLargeMessages());
  }
  if (config.getSandbox()) nexus::enterSandbox(nexus::SandboxProfile::STORE);
  nexus::emitMarker(nexus::marker::BUNDLEMGRD_READY);
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

}  // namespace

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Bundlemgrd>(
      argc, argv, {"bundlemgrd", "Lists the bundles of one node and serves their image."}, run);
}
