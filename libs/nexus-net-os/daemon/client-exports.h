#pragma once
// The exports of a daemon that gives each of its clients a socket of its own: PREFIX-CLIENT for each, and its status.
// The name of the socket says who the client is (docs/decisions/0003-a-socket-is-an-identity.md). A value that lives as
// long as the daemon; knows nothing of what is served.
#include "idl/status.capnp.h"
#include "libs/nexus-net-os/daemon/daemon-main.h"

namespace nexus {

struct ClientExports {
  using Connect = kj::Function<capnp::Capability::Client(kj::StringPtr client, const PeerCredentials& credentials)>;

  kj::StringPtr daemon;  // "samgrd": the status is exported as "status-samgrd"
  kj::StringPtr prefix;  // "samgr-"
  Connect connect;       // for each connection, with what follows the prefix; not empty
  kj::Function<idl::Status::Client()> status;

  // Serves whatever was given to the daemon. Wrong usage when one is neither.
  void serve(DaemonContext& context, const RpcLimits& limits = {});
};

}  // namespace nexus
