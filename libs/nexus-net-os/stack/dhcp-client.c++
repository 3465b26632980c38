#include "libs/nexus-net-os/stack/dhcp-client.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/stack/lwip-address.h"
#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/prot/dhcp.h"

namespace nexus {

Ipv4Config fallbackConfig(const MacAddress& mac) {
  kj::byte host = mac.bytes[5] == 0 ? 1 : mac.bytes[5];
  return {IpAddress::v4(10, 42, 0, host), 24, {}};
}

DhcpClient::DhcpClient(LwipStack& stack, kj::Duration timeout) : Member(stack), stack(stack), timeout(timeout) {}

DhcpClient::~DhcpClient() noexcept(false) {
  if (!running) return;
  LwipStack::Call call(stack);
  stop();
}

void DhcpClient::stackGone() noexcept {
  if (running) stop();
}

// Forgets the lease and, if there was one, tells the server and takes the address away.
void DhcpClient::stop() {
  running = false;
  dhcp_release_and_stop(&stack.link());
  dhcp_cleanup(&stack.link());
}

bool DhcpClient::bound() {
  return dhcp_supplied_address(&stack.link()) != 0;
}

kj::Promise<DhcpClient::Configured> DhcpClient::configure() {
  KJ_REQUIRE(!running && aliveStack() != nullptr, "configures once");
  {
    LwipStack::Call call(stack);
    for (u8_t i = 0; i < DNS_MAX_SERVERS; ++i) dns_setserver(i, nullptr);
    stack.expectOrigin(idl::NetConfig::Origin::DHCP);
    if (dhcp_start(&stack.link()) != ERR_OK) {
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "no memory to start DHCP"));
    }
    running = true;
  }
  // Time without a link is not time without a server.
  while (!stack.linkState().up) co_await stack.whenChanged(stack.generation());
  auto deadline = stack.clock().now() + timeout;
  while (!bound() && stack.clock().now() < deadline) {
    co_await stack.whenChanged(stack.generation()).exclusiveJoin(stack.clock().atTime(deadline));
  }
  if (bound()) co_return Configured{idl::NetConfig::Origin::DHCP, KJ_ASSERT_NONNULL(stack.ipv4())};

  // From here on no offer is listened to: an address never changes under those who were told the fallback.
  {
    LwipStack::Call call(stack);
    stop();
  }
  auto config = fallbackConfig(stack.macAddress());
  stack.setIpv4(config, idl::NetConfig::Origin::FALLBACK);
  co_return Configured{idl::NetConfig::Origin::FALLBACK, config};
}

kj::Maybe<DhcpClient::Lease> DhcpClient::lease() {
  if (!running || !bound()) return nullptr;
  auto* dhcp = netif_dhcp_data(&stack.link());
  Lease lease;
  lease.server = fromLwip(dhcp->server_ip_addr);
  lease.leaseSeconds = dhcp->offered_t0_lease;
  lease.renewSeconds = dhcp->t1_timeout;
  lease.rebindSeconds = dhcp->t2_timeout;
  lease.ageSeconds = dhcp->lease_used;
  for (u8_t i = 0; i < DNS_MAX_SERVERS; ++i) {
    auto* server = dns_getserver(i);
    if (!ip_addr_isany(server)) lease.dnsServers.add(fromLwip(*server));
  }
  return kj::mv(lease);
}

}  // namespace nexus
