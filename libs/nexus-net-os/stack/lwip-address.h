#pragma once
// Between IpAddress and lwIP's address types. Private to stack/.
#include "libs/nexus-net-os/net/ip-address.h"
#include "lwip/ip_addr.h"
#include "lwip/netif.h"

namespace nexus {

inline ip4_addr_t toLwip4(const IpAddress& address) {
  ip4_addr_t result;
  memcpy(&result.addr, address.bytes().begin(), 4);
  return result;
}

// `any` becomes the wildcard of both families. Link-local IPv6 addresses get `link` as their zone (RFC 4007).
inline ip_addr_t toLwip(const IpAddress& address, const netif& link) {
  ip_addr_t result{};
  if (address.isV4()) {
    ip_addr_copy_from_ip4(result, toLwip4(address));
  } else if (address.isV6()) {
    ip6_addr_t v6{};
    memcpy(v6.addr, address.bytes().begin(), 16);
    ip6_addr_clear_zone(&v6);
    ip6_addr_assign_zone(&v6, IP6_UNKNOWN, &link);
    ip_addr_copy_from_ip6(result, v6);
  } else {
    IP_SET_TYPE_VAL(result, IPADDR_TYPE_ANY);
  }
  return result;
}

inline IpAddress fromLwip(const ip4_addr_t& address) {
  return IpAddress::v4(lwip_ntohl(address.addr));
}

inline IpAddress fromLwip(const ip_addr_t& address) {
  if (IP_IS_V4_VAL(address)) return fromLwip(*ip_2_ip4(&address));
  return IpAddress::fromBytes(kj::arrayPtr(reinterpret_cast<const kj::byte*>(ip_2_ip6(&address)->addr), 16));
}

// Whether an address is one of the node's own; `any` is.
bool isOwnAddress(const IpAddress& address, netif& link);

}  // namespace nexus
