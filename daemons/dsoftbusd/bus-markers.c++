#include "daemons/dsoftbusd/bus-markers.h"

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
void BusMarkers::onAnnounceSent() {
  once(marker::BUS_ANNOUNCE_SENT);
}

void BusMarkers::onPeerLearned(kj::StringPtr deviceId) {
  if (learned.contains(deviceId) || learned.size() >= MAX_LEARNED) return;
  learned.insert(kj::str(deviceId));
  print(marker::BUS_PEER_LEARNED, nullptr);
}

void BusMarkers::onAuthenticated(kj::StringPtr) {
  print(marker::BUS_AUTH_OK, nullptr);
}

void BusMarkers::onLive(kj::StringPtr peer) {
  print(marker::BUS_OS_SESSION_OK, nullptr);
  if (peer == "node-a") print(marker::BUS_CROSS_SESSION_A, nullptr);
  if (peer == "node-b") print(marker::BUS_CROSS_SESSION_B, nullptr);
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
