#include <kj/debug.h>

#include "daemons/samgrd/samgrd.h"
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"
#include "libs/nexus-net-os/daemon/markers.h"
#include "libs/nexus-net-os/daemon/sandbox.h"

namespace {

constexpr auto CLIENT_PREFIX = "samgr-"_kj;
constexpr auto STATUS = "status-samgrd"_kj;

kj::Promise<void> run(nexus::DaemonContext& context, nexus::config::Samgrd::Reader config) {
  nexus::Samgrd samgrd(context.timer());
  nexus::readSettings([&] {
    for (auto name : config.getServices()) samgrd.registerAtStart(name);
  });
  for (auto& name : context.exportNames()) {
    if (name == STATUS) {
      context.serve(name, [&](const nexus::PeerCredentials&) { return samgrd.status(); });
      continue;
    }
    KJ_REQUIRE(name.startsWith(CLIENT_PREFIX) && name.size() > CLIENT_PREFIX.size(),
               "samgrd exports samgr-CLIENT and status-samgrd", name);
    context.serve(name, [&, client = kj::heapString(name.slice(CLIENT_PREFIX.size()))](
                            const nexus::PeerCredentials& peer) { return samgrd.connect(client, peer); });
  }
  if (config.getSandbox()) nexus::enterSandbox(nexus::SandboxProfile::STACK);
  nexus::emitMarker(nexus::marker::SAMGRD_READY);
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

}  // namespace

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Samgrd>(
      argc, argv, {"samgrd", "Registers the services of one node and says which exist."}, run);
}
