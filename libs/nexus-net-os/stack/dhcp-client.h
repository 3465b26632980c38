#pragma once
// Gets the node's IPv4 address: drives lwIP's DHCP client (RFC 2131), and falls back to a fixed address when no server
// answers in time. Owned by whoever configures the node; lives as long as the lease shall be kept. A run is either
// bound or fallen back, never both: after the fallback no late lease is taken.
#include <kj/vector.h>

#include "libs/nexus-net-os/stack/lwip-stack.h"

namespace nexus {

// 10.42.0.H/24 without a gateway; H is the last byte of the MAC address, 0 becomes 1.
Ipv4Config fallbackConfig(const MacAddress& mac);

class DhcpClient final : private LwipStack::Member {
 public:
  struct Lease {
    IpAddress server;
    uint32_t leaseSeconds = 0;
    uint32_t renewSeconds = 0;   // T1
    uint32_t rebindSeconds = 0;  // T2
    uint32_t ageSeconds = 0;     // since the server last confirmed it
    kj::Vector<IpAddress> dnsServers;
  };

  struct Configured {
    idl::NetConfig::Origin origin;  // dhcp or fallback
    Ipv4Config config;
  };

  // Sends nothing before configure().
  DhcpClient(LwipStack& stack, kj::Duration timeout = 4 * kj::SECONDS);

  // Stops renewing; an address that was leased is taken away.
  ~DhcpClient() noexcept(false) override;
  KJ_DISALLOW_COPY_AND_MOVE(DhcpClient);

  // Resolves once the node has an address: bound, or fallen back after the timeout, which begins when the link is up
  // (without a link it waits). Once. From then on changes (another
  // address after a renewal, an expired lease) appear in LwipStack::generation(); a renewal that changes nothing is
  // silent.
  kj::Promise<Configured> configure();

  // While bound.
  kj::Maybe<Lease> lease();

 private:
  LwipStack& stack;
  kj::Duration timeout;
  bool running = false;  // lwIP's client is at work

  bool bound();
  void stop();
  void stackGone() noexcept override;
};

}  // namespace nexus
