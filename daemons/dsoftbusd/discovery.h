#pragma once
// Finds the other nodes: announces this one on UDP and listens for the others. Announcements go to the multicast group,
// to the subnet broadcast address and to configured addresses, at the start and then after 1 s, doubling to 15 s,
// without jitter. What is heard is hearsay: it fills the peer table and tells the links where a trusted peer may be
// dialled; the handshake decides who is there. Owned by dsoftbusd; run() once for each netstackd, the table outlives
// it.
#include <kj/function.h>
#include <kj/timer.h>

#include <deque>

#include "daemons/dsoftbusd/audit-log.h"
#include "daemons/dsoftbusd/bus-observer.h"
#include "daemons/dsoftbusd/peer-table.h"
#include "daemons/dsoftbusd/signal.h"
#include "daemons/dsoftbusd/trust-table.h"
#include "idl/net.capnp.h"

namespace nexus {

struct DiscoverySettings {
  uint16_t port = 37020;
  kj::Maybe<IpAddress> group;  // IPv4 multicast
  bool broadcast = true;
  kj::Array<SocketAddress> unicastPeers;
  kj::Duration firstInterval = 1 * kj::SECONDS;
  kj::Duration largestInterval = 15 * kj::SECONDS;
  PeerTableLimits table{};
};

class Discovery {
 public:
  // Where a trusted peer is, or null when its announcements have aged out.
  using OnAddress = kj::Function<void(kj::StringPtr deviceId, kj::Maybe<SocketAddress>)>;

  // own: what is announced. trust, audit and observer outlive this.
  Discovery(kj::Timer& timer, DiscoverySettings settings, Announce own, const TrustTable& trust, AuditLog& audit,
            BusObserver& observer, OnAddress onAddress);
  KJ_DISALLOW_COPY_AND_MOVE(Discovery);

  // Opens the socket; fails with a sentence when the stack refuses it.
  kj::Promise<void> open(idl::NetworkManager::Client net);

  // Announces and listens on the open socket until the stack fails.
  kj::Promise<void> run();

  // The trust table was replaced: tells where the trusted peers are that were heard already.
  void trustChanged();

  const PeerTable& peers() const { return table; }
  kj::Promise<void> whenChanged() { return changed.wait(); }

  struct Counters {
    uint64_t sent = 0, sendFailures = 0, received = 0, flooded = 0, malformed = 0, own = 0, wrongKey = 0,
             answersDropped = 0;
  };
  const Counters& counters() const { return counts; }

 private:
  static constexpr size_t MAX_ANSWERS = 16;

  enum class Way { MULTICAST, BROADCAST, UNICAST };
  struct Target {
    Way way;
    SocketAddress to;
  };

  kj::Timer& timer;
  DiscoverySettings settings;
  Announce own;
  kj::Array<kj::byte> packet;  // own, encoded
  const TrustTable& trust;
  AuditLog& audit;
  BusObserver& observer;
  OnAddress onAddress;
  PeerTable table;
  RateLimiter complaints;  // log lines and audit records about what others send
  Signal changed, heard, answerWanted;
  std::deque<SocketAddress> answers;  // new peers to be told, at most MAX_ANSWERS
  Counters counts;
  bool wayLogged = false;

  kj::Maybe<idl::NetworkManager::Client> stack;
  kj::Maybe<idl::UdpSocket::Client> socket;
  bool groupJoined = false;
  bool announced = false;  // on this stack
  kj::Vector<SocketAddress> broadcasts;

  kj::Promise<void> announceLoop();
  kj::Promise<void> announceOnce();
  kj::Promise<void> announceTo(Target target);
  kj::Promise<void> answerLoop();
  kj::Promise<void> receiveLoop();
  kj::Promise<void> expireLoop();
  kj::Promise<void> configLoop();
  void takeConfig(idl::NetConfig::Reader config);
  void take(const SocketAddress& from, kj::ArrayPtr<const kj::byte> datagram);
  void hear(Announce announce, const IpAddress& from);
  bool isKnown(const Announce& announce) const;
  void answer(const SocketAddress& to);
};

}  // namespace nexus
