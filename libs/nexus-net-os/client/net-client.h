#pragma once
// A NetworkManager capability as a kj::Network, so that whatever is written for KJ (kj-http, kj-tls, Cap'n Proto RPC)
// runs over our stack unchanged. Owned by the application; every address, stream, listener and port made through it
// holds its own references. Knows nothing of sockets of the kernel's: it reaches exactly what the NetworkManager
// allows.
//
// Addresses are numbers: "10.0.2.2:53", "[fd00::1]:53", "*:80" (listen everywhere). Names are not resolved.
//
// KJ has exceptions where the capability has results: refused, unreachable and timedOut become DISCONNECTED, denied,
// addressInUse and addressNotAvailable FAILED, each naming address and outcome. Use the capability itself where the
// difference matters.
#include <kj/async-io.h>

#include "idl/net.capnp.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

class NetClient final : public kj::Network {
 public:
  // With `lowLevel`, the bytes of TCP connections go through descriptors (TcpSocket.openStream) instead of RPC calls.
  // It must outlive everything made here, and the NetworkManager must come over a Unix socket or be in this process.
  explicit NetClient(idl::NetworkManager::Client manager, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel = nullptr);

  kj::Own<kj::NetworkAddress> address(SocketAddress address);

  // As NetworkAddress::listen(), but waits for the stack's answer: failures show here and the port is known.
  kj::Promise<kj::Own<kj::ConnectionReceiver>> listen(SocketAddress local, uint16_t backlog = 0);
  kj::Promise<kj::Own<kj::DatagramPort>> bindDatagramPort(SocketAddress local);

  // implements kj::Network ----------------------------------------

  // FAILED for anything but a number with a port (portHint 0 means that one must be there).
  kj::Promise<kj::Own<kj::NetworkAddress>> parseAddress(kj::StringPtr addr, kj::uint portHint = 0) override;
  kj::Own<kj::NetworkAddress> getSockaddr(const void* sockaddr, kj::uint len) override;
  // UNIMPLEMENTED: KJ's filters are not policies; narrow the capability with NetworkManager.restrict.
  kj::Own<kj::Network> restrictPeers(kj::ArrayPtr<const kj::StringPtr> allow,
                                     kj::ArrayPtr<const kj::StringPtr> deny = nullptr) override;

 private:
  idl::NetworkManager::Client manager;
  kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel;
};

}  // namespace nexus
