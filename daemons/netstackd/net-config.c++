#include "daemons/netstackd/net-config.h"

#include <kj/vector.h>

namespace nexus {

namespace {

void describeLease(const DhcpClient::Lease& lease, idl::NetConfig::Lease::Builder builder) {
  lease.server.toIdl(builder.initServer());
  builder.setLeaseSeconds(lease.leaseSeconds);
  builder.setRenewSeconds(lease.renewSeconds);
  builder.setRebindSeconds(lease.rebindSeconds);
  builder.setAgeSeconds(lease.ageSeconds);
}

kj::Maybe<DhcpClient::Lease> leaseOf(NetNode& node) {
  KJ_IF_MAYBE (dhcp, node.dhcp) return dhcp->lease();
  return nullptr;
}

constexpr kj::StringPtr originName(idl::NetConfig::Origin origin) {
  switch (origin) {
    case idl::NetConfig::Origin::STATIC:
      return "static"_kj;
    case idl::NetConfig::Origin::DHCP:
      return "dhcp"_kj;
    case idl::NetConfig::Origin::FALLBACK:
      return "fallback"_kj;
    case idl::NetConfig::Origin::LINK_LOCAL:
      return "link-local"_kj;
  }
  return "unknown"_kj;
}

}  // namespace

void describeNetwork(NetNode& node, idl::NetConfig::Builder config) {
  auto& stack = node.stack;
  auto link = stack.linkState();
  auto mac = stack.macAddress();
  config.setGeneration(stack.generation());
  config.setMacAddress(kj::arrayPtr(mac.bytes.data(), mac.bytes.size()));
  config.setLinkUp(link.up);
  config.setMtu(link.mtu);

  auto ipv4 = stack.ipv4();
  auto ipv6 = stack.linkLocal6();
  auto addresses = config.initAddresses((ipv4 != nullptr) + (ipv6 != nullptr));
  auto lease = leaseOf(node);
  kj::uint index = 0;
  config.initGateway().setAny();
  KJ_IF_MAYBE (v4, ipv4) {
    auto entry = addresses[index++];
    v4->address.toIdl(entry.initAddress());
    entry.setPrefixLength(v4->prefixLength);
    entry.setOrigin(stack.ipv4Origin());
    KJ_IF_MAYBE (l, lease) describeLease(*l, entry.initLease());
    v4->gateway.toIdl(config.initGateway());
  }
  KJ_IF_MAYBE (v6, ipv6) {
    auto entry = addresses[index++];
    v6->toIdl(entry.initAddress());
    entry.setPrefixLength(64);
    entry.setOrigin(idl::NetConfig::Origin::LINK_LOCAL);
  }
  KJ_IF_MAYBE (l, lease) {
    auto servers = config.initDnsServers(l->dnsServers.size());
    for (kj::uint i = 0; i < servers.size(); i++) l->dnsServers[i].toIdl(servers[i]);
  }
}

kj::String networkSentence(NetNode& node) {
  auto link = node.stack.linkState();
  auto linkText = link.up ? kj::str("link up") : kj::str("link down", link.reason.size() > 0 ? ": " : "", link.reason);
  auto ipv4 = node.stack.ipv4();
  KJ_IF_MAYBE (v4, ipv4) {
    auto gateway = v4->gateway.isAny() ? kj::String() : kj::str(" gw ", v4->gateway);
    return kj::str(v4->address, '/', v4->prefixLength, gateway, " by ", originName(node.stack.ipv4Origin()), ", ",
                   linkText);
  }
  return kj::str("no address yet, ", linkText);
}

}  // namespace nexus
