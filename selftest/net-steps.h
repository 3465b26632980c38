#pragma once
// The network steps of the selftest: interface, gateway, DNS, a connection of our own, echo through the capability.
// Each method is the body of one step: it returns when the behaviour was seen and fails with what was seen instead.
// Owned by Selftest. Knows a NetworkManager, not who serves it.
#include <kj/async.h>
#include <kj/function.h>

#include "idl/net.capnp.h"
#include "libs/nexus-net-os/base/entropy.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

class NetSteps final {
 public:
  // The present NetworkManager; a new one after netstackd was restarted.
  using GetNet = kj::Function<idl::NetworkManager::Client()>;

  NetSteps(GetNet net, Entropy& entropy) : net(kj::mv(net)), entropy(entropy) {}
  KJ_DISALLOW_COPY_AND_MOVE(NetSteps);

  // Waits until the link is up and has an IPv4 address; its address and gateway are remembered for the later steps.
  kj::Promise<void> iface();

  // The gateway answers an echo request.
  kj::Promise<void> gatewayPing();

  // A query for the harness's name, sent to the gateway, gets its own answer and no other.
  kj::Promise<void> udpDns(uint16_t port);

  // A listener on our own address takes a connection to it; bytes cross both ways, and both ends see the end.
  kj::Promise<void> tcpListen();

  // The gateway answers a large echo request within a measured time.
  kj::Promise<void> icmpPing();

  const IpAddress& address() const { return ownAddress; }
  const IpAddress& gateway() const { return gatewayAddress; }

 private:
  GetNet net;
  Entropy& entropy;
  IpAddress ownAddress, gatewayAddress;

  kj::Promise<void> ping(size_t payloadBytes);
};

// Reads exactly `bytes` bytes; fails when the peer closes before.
kj::Promise<kj::Array<kj::byte>> recvExactly(idl::TcpSocket::Client socket, size_t bytes);

// Fails unless the outcome is ok, naming `what` and the outcome.
void requireOk(idl::Outcome outcome, kj::StringPtr what);

}  // namespace nexus
