#include <kj/timer.h>

#include "daemons/samgrd/samgrd.h"
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/client-exports.h"
#include "libs/nexus-net-os/daemon/markers.h"
#include "libs/nexus-net-os/daemon/sandbox.h"

namespace nexus {
namespace {

void registerAtStart(Samgrd& samgrd, config::Samgrd::Reader config) {
  readSettings([&] {
    for (auto name : config.getServices()) samgrd.registerAtStart(name);
  });
}

void check(config::Samgrd::Reader config) {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  Samgrd samgrd(timer);
  registerAtStart(samgrd, config);
}

kj::Promise<void> run(DaemonContext& context, config::Samgrd::Reader config) {
  Samgrd samgrd(context.timer());
  registerAtStart(samgrd, config);
  ClientExports exports{"samgrd"_kj, "samgr-"_kj,
                        [&](kj::StringPtr client, const PeerCredentials& peer) { return samgrd.connect(client, peer); },
                        [&] { return samgrd.status(); }};
  exports.serve(context);
  if (config.getSandbox()) enterSandbox(SandboxProfile::STACK);
  emitMarker(marker::SAMGRD_READY);
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

}  // namespace
}  // namespace nexus

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::Samgrd>(
      argc, argv, {"samgrd", "Registers the services of one node and says which exist."}, nexus::check, nexus::run);
}
