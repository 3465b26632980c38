#include <kj/debug.h>

#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"
#include "tools/host_net/host-network.h"

namespace {

nexus::IpAddress addressOf(nexus::config::HostNet::Reader config) {
  return nexus::readSettings([&] {
    auto parsed = nexus::IpAddress::tryParse(config.getAddress());
    KJ_IF_MAYBE (a, parsed) {
      if (!a->isAny() && !a->isMulticast()) return *a;
    }
    KJ_FAIL_REQUIRE("address: write one address of this machine, such as \"127.0.0.1\"", config.getAddress());
  });
}

void check(nexus::config::HostNet::Reader config) {
  addressOf(config);
}

kj::Promise<void> run(nexus::DaemonContext& context, nexus::config::HostNet::Reader config) {
  auto address = addressOf(config);
  auto network = nexus::newHostNetwork(context.io().provider->getNetwork(), address);
  context.serve("net", [&](const nexus::PeerCredentials&) -> capnp::Capability::Client { return network; });
  co_await kj::Promise<void>(kj::NEVER_DONE);
}

}  // namespace

int main(int argc, char* argv[]) {
  return nexus::daemonMain<nexus::config::HostNet>(
      argc, argv, {"host_net", "Serves one address of this machine's own network as `net`, for development."}, check,
      run);
}
