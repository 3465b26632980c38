#pragma once
// Finds the other nodes: what is heard on the links of this node fills the peer table, and tells the bus where a
// trusted peer may be dialled. It is hearsay; the handshake decides who is there. Announcements leave on every link to
// its multicast groups, broadcast addresses and to configured addresses, at the start and then after 1 s, doubling to
// 15 s, without jitter. Owned by dsoftbusd; the links open and run once for each netstackd, the table outlives them.
#include <kj/function.h>
#include <kj/timer.h>

#include "daemons/dsoftbusd/bus/peer-routes.h"
#include "daemons/dsoftbusd/discovery/discovery-link.h"
#include "daemons/dsoftbusd/discovery/ignored-peers.h"
#include "daemons/dsoftbusd/discovery/peer-table.h"
#include "daemons/dsoftbusd/policy/audit-log.h"
#include "daemons/dsoftbusd/trust/trust-table.h"

namespace nexus {

struct DiscoverySettings {
  AnnounceSettings announce;
  PeerTableLimits table{};
};

class Discovery {
 public:
  // Where a trusted peer is, best first; empty when its announcements have aged out.
  using OnRoutes = kj::Function<void(kj::StringPtr deviceId, kj::ArrayPtr<const PeerRoute>)>;

  // own: what is announced; a node hears only those of its own mesh. links: the names of the links, for people.
  // trust, audit and observer outlive this.
  Discovery(kj::Timer& timer, DiscoverySettings settings, Announce own, kj::ArrayPtr<const kj::String> links,
            const TrustTable& trust, AuditLog& audit, BusObserver& observer, OnRoutes onRoutes);
  KJ_DISALLOW_COPY_AND_MOVE(Discovery);

  // One link: opens the socket (fails with a sentence when the stack refuses it), then announces and listens until the
  // stack fails.
  kj::Promise<void> open(size_t link, idl::NetworkManager::Client net) { return links[link]->open(kj::mv(net)); }
  kj::Promise<void> run(size_t link) { return links[link]->run(); }

  // Announces other services from now on; at most ANNOUNCE_MAX_SERVICES.
  void setServices(kj::Array<kj::String> services);

  // Tells the peer at once where this node is, at the place where the peer was heard last. Nothing when it is not
  // known.
  void answer(kj::StringPtr deviceId);

  // The trust table was replaced: tells where the trusted peers are that were heard already.
  void trustChanged();

  const PeerTable& peers() const { return table; }
  const IgnoredPeers& ignored() const { return ignoredPeers; }
  kj::StringPtr linkName(size_t link) const { return links[link]->name(); }
  kj::StringPtr wayInUse(size_t link) const { return links[link]->wayInUse(); }

  // Grows with every change of what peers() and ignored() show; counts of what is ignored excepted.
  uint32_t generation() const { return table.generation() + ignoredChanges; }
  kj::Promise<void> whenChanged() { return changed.wait(); }

  const DiscoveryCounters& counters() const { return counts; }

 private:
  kj::Timer& timer;
  DiscoverySettings settings;
  Announce own;
  kj::Array<kj::byte> packet;  // own, encoded
  const TrustTable& trust;
  AuditLog& audit;
  BusObserver& observer;
  OnRoutes onRoutes;
  PeerTable table;
  IgnoredPeers ignoredPeers;
  uint32_t ignoredChanges = 0;
  RateLimiter complaints;  // log lines and audit records about what others send
  Signal changed, heard;
  DiscoveryCounters counts;
  kj::Array<kj::Own<DiscoveryLink>> links;
  kj::Promise<void> expiring;

  void take(size_t link, const SocketAddress& from, kj::ArrayPtr<const kj::byte> datagram);
  void hear(size_t link, Announce announce, const IpAddress& from);
  bool isKnown(const Announce& announce) const;
  void takeWrongKey(const Announce& announce, const SocketAddress& at, kj::StringPtr peer);
  void ignore(const Announce& announce, const SocketAddress& at, kj::StringPtr reason);
  void tellRoutes(kj::StringPtr deviceId);
  kj::Promise<void> expireLoop();
  void expire();
};

}  // namespace nexus
