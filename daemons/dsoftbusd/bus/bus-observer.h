#pragma once
// Hears of what happens on the bus, after it happened: for markers and tests. Every default does nothing.
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

class BusObserver {
 public:
  virtual ~BusObserver() noexcept(false) = default;

  virtual void onAddresses(kj::StringPtr link, kj::ArrayPtr<const IpAddress> own) {}  // of that link, from now on
  virtual void onTransportUp() {}                      // discovery socket and session listener are open
  virtual void onDiscoveryUp() {}                      // group joined, a first announcement left
  virtual void onAnnounceSent(const IpAddress& to) {}  // each time one left
  virtual void onPeerLearned(kj::StringPtr deviceId, const IpAddress& from) {}  // a peer that was not in the table
  virtual void onConnection(kj::StringPtr peer, const IpAddress& with, bool dialed) {}  // a transport, no keys yet
  virtual void onAuthenticated(kj::StringPtr peer) {}  // handshake done, and the proven key is the trusted one
  virtual void onLive(kj::StringPtr peer) {}           // a ping was answered both ways
};

}  // namespace nexus
