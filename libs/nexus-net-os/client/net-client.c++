#include "libs/nexus-net-os/client/net-client.h"

#include <arpa/inet.h>
#include <kj/debug.h>
#include <netinet/in.h>

#include "libs/nexus-net-os/client/client-address.h"
#include "libs/nexus-net-os/client/client-datagram.h"
#include "libs/nexus-net-os/client/client-listener.h"

namespace nexus {

NetClient::NetClient(idl::NetworkManager::Client manager, kj::Maybe<kj::LowLevelAsyncIoProvider&> lowLevel)
    : manager(kj::mv(manager)), lowLevel(lowLevel) {}

kj::Own<kj::NetworkAddress> NetClient::address(SocketAddress address) {
  return kj::heap<ClientAddress>(manager, lowLevel, address);
}

kj::Promise<kj::Own<kj::ConnectionReceiver>> NetClient::listen(SocketAddress local, uint16_t backlog) {
  auto& provider = lowLevel;
  auto listening = co_await ClientListener::request(manager, local, backlog);
  co_return kj::heap<ClientListener>(kj::mv(listening), provider);
}

kj::Promise<kj::Own<kj::DatagramPort>> NetClient::bindDatagramPort(SocketAddress local) {
  auto copy = manager;
  auto bound = co_await ClientDatagramPort::request(copy, local);
  co_return kj::heap<ClientDatagramPort>(kj::mv(copy), kj::mv(bound));
}

kj::Promise<kj::Own<kj::NetworkAddress>> NetClient::parseAddress(kj::StringPtr addr, kj::uint portHint) {
  auto whole = SocketAddress::tryParse(addr);
  KJ_IF_MAYBE (a, whole) return address(*a);
  auto host = IpAddress::tryParse(addr);
  KJ_IF_MAYBE (h, host) {
    KJ_REQUIRE(portHint > 0 && portHint <= 65535, "the address needs a port: write ADDRESS:PORT", addr);
    return address({*h, uint16_t(portHint)});
  }
  KJ_FAIL_REQUIRE("not an address: write 10.0.2.2:53, [fd00::1]:53 or *:80; names are not resolved", addr);
}

kj::Own<kj::NetworkAddress> NetClient::getSockaddr(const void* sockaddr, kj::uint len) {
  KJ_REQUIRE(len >= sizeof(sa_family_t), "a truncated socket address", len);
  sa_family_t family;
  memcpy(&family, sockaddr, sizeof(family));
  if (family == AF_INET && len >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    memcpy(&in, sockaddr, sizeof(in));
    return address({IpAddress::v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)});
  }
  if (family == AF_INET6 && len >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in;
    memcpy(&in, sockaddr, sizeof(in));
    return address({IpAddress::fromBytes(kj::arrayPtr(in.sin6_addr.s6_addr, 16)), ntohs(in.sin6_port)});
  }
  KJ_FAIL_REQUIRE("neither an IPv4 nor an IPv6 socket address", family, len);
}

kj::Own<kj::Network> NetClient::restrictPeers(kj::ArrayPtr<const kj::StringPtr>, kj::ArrayPtr<const kj::StringPtr>) {
  kj::throwFatalException(KJ_EXCEPTION(UNIMPLEMENTED, "narrow the capability instead: NetworkManager.restrict"));
}

}  // namespace nexus
