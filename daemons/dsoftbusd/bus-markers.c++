#include "daemons/dsoftbusd/bus-markers.h"

#include <algorithm>

namespace nexus {

void BusMarkers::once(const Marker& marker) {
  if (printed.contains(marker.text)) return;
  printed.insert(marker.text);
  print(marker, nullptr);
}

void BusMarkers::onReady() {
  once(marker::BUS_READY);
}
void BusMarkers::onTransportUp() {
  once(marker::BUS_TRANSPORT_UP);
  once(marker::BUS_PROXY_UP);  // with the listener open, requests are taken
}
void BusMarkers::onDiscoveryUp() {
  once(marker::BUS_DISCOVERY_UP);
}
void BusMarkers::onAddresses(kj::StringPtr link, kj::ArrayPtr<const IpAddress> addresses) {
  own.upsert(kj::str(link), kj::heapArray(addresses));
}

bool BusMarkers::isOwn(const IpAddress& address) const {
  for (auto& link : own) {
    if (std::find(link.value.begin(), link.value.end(), address) != link.value.end()) return true;
  }
  return false;
}

void BusMarkers::onAnnounceSent(const IpAddress& to) {
  if (isOwn(to)) once(marker::BUS_DISCOVERY_LOOPBACK);
  once(marker::BUS_ANNOUNCE_SENT);
}

void BusMarkers::onPeerLearned(kj::StringPtr deviceId, const IpAddress& from) {
  if (isOwn(from)) once(marker::BUS_PEER_LOCAL);
  if (learned.contains(deviceId) || learned.size() >= MAX_LEARNED) return;
  learned.insert(kj::str(deviceId));
  print(marker::BUS_PEER_LEARNED, nullptr);
}

void BusMarkers::onConnection(kj::StringPtr peer, const IpAddress& with, bool dialed) {
  if (!isOwn(with)) {
    local.eraseMatch(peer);
  } else if (!local.contains(peer)) {
    local.insert(kj::str(peer));
  }
  if (dialed && peer == "node-b") once(marker::BUS_SESSION_CONNECT_B);
}

void BusMarkers::onAuthenticated(kj::StringPtr peer) {
  print(marker::BUS_AUTH_OK, nullptr);
  if (peer == "node-b") once(marker::BUS_IDENTITY_BOUND_B);
}

void BusMarkers::onLive(kj::StringPtr peer) {
  print(marker::BUS_OS_SESSION_OK, nullptr);
  bool a = peer == "node-a", b = peer == "node-b";
  if (!a && !b) return;
  if (local.contains(peer)) {
    once(marker::BUS_DUAL_NODE_SESSION);
  } else {
    print(a ? marker::BUS_CROSS_SESSION_A : marker::BUS_CROSS_SESSION_B, nullptr);
  }
}

void BusMarkers::onRequest(const RemoteCaller&) {
  once(marker::BUS_PROXY_RX);
}

void BusMarkers::onDecision(const RemoteCaller& caller, kj::ArrayPtr<const char> service, CallStatus status) {
  if (status == CallStatus::UNAUTHENTICATED) once(marker::BUS_DENIED_UNAUTHENTICATED);
  if (status != CallStatus::OK || caller.name != "node-a") return;
  if (service == "samgrd"_kj.asArray()) once(marker::BUS_PROXY_OK_SAMGRD);
  if (service == "bundlemgrd"_kj.asArray()) once(marker::BUS_PROXY_OK_BUNDLEMGRD);
}

void BusMarkers::onServiceDenied(const RemoteCaller&) {
  once(marker::BUS_DENIED_SERVICE);
}

void BusMarkers::onServed(const RemoteCaller&, kj::StringPtr service, kj::StringPtr operation) {
  if (service == "packagefsd") once(marker::BUS_REMOTE_PACKAGEFS);
  bool changes = operation == "put" || operation == "del";
  if (service == "statefsd" && changes) once(marker::BUS_REMOTE_STATEFS);
}

}  // namespace nexus
