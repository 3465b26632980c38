#pragma once
// Turns what happens on the bus into the marker lines of daemon/marker-table.h. Each line that a harness waits for once
// is printed once, however often it happens, so that a peer cannot fill the console; what belongs to a session is
// printed for each session. Owned by the daemon; printing itself is handed in.
#include <kj/function.h>
#include <kj/map.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/bus/bus-observer.h"
#include "daemons/dsoftbusd/remote/remote-proxy.h"
#include "libs/nexus-net-os/daemon/markers.h"

namespace nexus {

class BusMarkers final : public BusObserver, public RemoteProxyObserver {
 public:
  using Print = kj::Function<void(const Marker&, kj::StringPtr detail)>;

  explicit BusMarkers(Print print) : print(kj::mv(print)) {}

  void onReady();  // the capability is served

  // implements BusObserver
  void onTransportUp() override;
  void onDiscoveryUp() override;
  void onAddresses(kj::StringPtr link, kj::ArrayPtr<const IpAddress> addresses) override;
  void onAnnounceSent(const IpAddress& to) override;
  void onPeerLearned(kj::StringPtr deviceId, const IpAddress& from) override;
  void onConnection(kj::StringPtr peer, const IpAddress& with, bool dialed) override;
  void onAuthenticated(kj::StringPtr peer) override;
  void onLive(kj::StringPtr peer) override;

  // implements RemoteProxyObserver
  void onRequest(const RemoteCaller& caller) override;
  void onDecision(const RemoteCaller& caller, kj::ArrayPtr<const char> service, CallStatus status) override;
  void onServiceDenied(const RemoteCaller& caller) override;
  void onServed(const RemoteCaller& caller, kj::StringPtr service, kj::StringPtr operation) override;

 private:
  static constexpr size_t MAX_LEARNED = 64;  // peers whose marker is remembered; beyond that none is printed

  Print print;
  kj::HashSet<kj::StringPtr> printed;  // marker texts, which are static
  kj::HashSet<kj::String> learned;     // device ids
  kj::HashSet<kj::String> local;       // peers whose last connection came from, or went to, an address of this stack
  kj::HashMap<kj::String, kj::Array<IpAddress>> own;  // by link

  bool isOwn(const IpAddress& address) const;

  void once(const Marker& marker);
};

}  // namespace nexus
