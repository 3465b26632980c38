#pragma once
// The bus steps of the selftest: a session of its own with this node's dsoftbusd over the stack, and what a node does
// with its peer through the bus. Each method is the body of one step and fails with what was seen instead. Owned by
// Selftest. Keys are the bring-up keys of the test images.
#include <kj/async.h>
#include <kj/function.h>
#include <kj/timer.h>

#include "daemons/dsoftbusd/bus/bus-client.h"
#include "daemons/dsoftbusd/trust/identity.h"
#include "idl/dsoftbus.capnp.h"
#include "idl/net.capnp.h"
#include "idl/samgr.capnp.h"
#include "libs/nexus-net-os/base/entropy.h"

namespace nexus {

class BusSteps final {
 public:
  using GetNet = kj::Function<idl::NetworkManager::Client()>;
  using GetBus = kj::Function<idl::DSoftBus::Client()>;

  BusSteps(GetNet net, GetBus bus, kj::Timer& timer, Entropy& entropy);
  KJ_DISALLOW_COPY_AND_MOVE(BusSteps);

  // An authenticated session with the dsoftbusd of node `name` at `address`, over the stack. Kept for ping().
  kj::Promise<void> connect(kj::StringPtr name, SocketAddress address);

  // A payload comes back through that session as it was.
  kj::Promise<void> ping();

  // There is a session with the peer; waits for it.
  kj::Promise<void> waitForSession(kj::StringPtr peer) { return session(kj::str(peer)).ignoreResult(); }

  // The peer's samgrd says that somebody serves bundlemgrd.
  kj::Promise<void> remoteResolve(kj::StringPtr peer);

  // The peer's bundlemgrd lists its one bundle.
  kj::Promise<void> remoteQuery(kj::StringPtr peer);

  // The peer's samgrd, called by its schema, knows bundlemgrd and not a name that nobody has; and it does not let this
  // node register, which no rule allows.
  kj::Promise<void> remoteRpc(kj::StringPtr peer);

  // The reply of a service of the peer. A refusal fails the step.
  kj::Promise<kj::Array<kj::byte>> reply(kj::StringPtr peer, kj::StringPtr service, kj::Array<kj::byte> frame);

  // The peer refuses a service that no rule names, with the id of its audit record, and refuses a stranger.
  kj::Promise<void> remoteDenied(kj::StringPtr peer);

  // This node's audit log holds what remoteResolve, remoteQuery and remoteDenied of `peer` must have left there.
  kj::Promise<void> sawPeersCalls(kj::StringPtr peer);

 private:
  GetNet net;
  GetBus bus;
  kj::Timer& timer;
  Entropy& entropy;
  DeviceIdentity own;
  DeviceIdentity stranger;
  kj::Maybe<kj::Own<BusClient>> client;

  struct Reply {
    idl::CallStatus status;
    uint64_t auditId;
    kj::Array<kj::byte> frame;
  };
  kj::Promise<idl::PeerSession::Client> session(kj::String peer);
  kj::Promise<Reply> call(kj::String peer, kj::String service, kj::Array<kj::byte> frame);
  kj::Promise<SocketAddress> addressOf(kj::String peer);
  static kj::Promise<idl::Samgr::Status> resolve(idl::Samgr::Client samgr, kj::StringPtr name);
  kj::Promise<void> strangerIsRefused(kj::String peer);
};

}  // namespace nexus
