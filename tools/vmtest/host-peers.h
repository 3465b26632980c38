#pragma once
// What a single guest finds on the host: a DNS answerer over UDP and a TCP peer
// (libs/nexus-net-os/testing/host-peer-protocol.h), both on loopback, on ports the system chose. Owned by the run; gone
// with it. Bounded in connections, bytes and idle time.
#include <kj/async-io.h>
#include <kj/timer.h>

namespace nexus::vmtest {

class HostPeers final : private kj::TaskSet::ErrorHandler {
 public:
  static constexpr kj::uint CONNECTIONS_MAX = 16;             // at a time; further ones are closed at once and counted
  static constexpr kj::Duration IDLE_MAX = 60 * kj::SECONDS;  // without a byte in either direction

  // Binds both ports before it returns.
  static kj::Promise<kj::Own<HostPeers>> start(kj::Network& network, kj::Timer& timer);

  HostPeers(kj::Timer& timer, kj::Own<kj::DatagramPort> dns, kj::Own<kj::ConnectionReceiver> tcp);
  KJ_DISALLOW_COPY_AND_MOVE(HostPeers);

  kj::uint dnsPort() { return dns->getPort(); }
  kj::uint tcpPort() { return tcp->getPort(); }
  kj::uint answered() const { return dnsAnswers; }
  kj::uint refused() const { return refusedConnections; }

 private:
  kj::Promise<void> dnsLoop();
  kj::Promise<void> acceptLoop();
  kj::Promise<void> serve(kj::Own<kj::AsyncIoStream> stream);
  // A guest may cut a connection at any time; that is its business.
  void taskFailed(kj::Exception&& exception) override {}

  kj::Timer& timer;
  kj::Own<kj::DatagramPort> dns;
  kj::Own<kj::ConnectionReceiver> tcp;
  kj::uint connections = 0, dnsAnswers = 0, refusedConnections = 0;
  kj::TaskSet tasks;
};

}  // namespace nexus::vmtest
