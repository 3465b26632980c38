#include "libs/nexus-net-os/daemon/client-exports.h"

namespace nexus {

void ClientExports::serve(DaemonContext& context, const RpcLimits& limits) {
  auto statusName = kj::str("status-", daemon);
  for (auto& name : context.exportNames()) {
    if (name == statusName) {
      context.serve(name, [this](const PeerCredentials&) -> capnp::Capability::Client { return status(); }, limits);
      continue;
    }
    if (!name.startsWith(prefix) || name.size() == prefix.size()) {
      kj::throwFatalException(wrongUsage(
          kj::str("there is no export \"", name, "\": ", daemon, " exports ", prefix, "CLIENT and ", statusName)));
    }
    context.serve(
        name,
        [this, client = kj::str(name.slice(prefix.size()))](const PeerCredentials& peer) {
          return connect(client, peer);
        },
        limits);
  }
}

}  // namespace nexus
