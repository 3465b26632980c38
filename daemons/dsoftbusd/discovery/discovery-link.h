#pragma once
// Discovery on one link of the node: the UDP socket, the groups it has joined, the announcements that leave through it
// and the datagrams that come in. Owned by discovery; open() and run() once for each netstackd. Knows no peers and does
// not look into what it carries.
#include <kj/function.h>
#include <kj/timer.h>

#include <deque>

#include "daemons/dsoftbusd/bus/bus-observer.h"
#include "daemons/dsoftbusd/discovery/discovery-ways.h"
#include "daemons/dsoftbusd/session/signal.h"
#include "idl/net.capnp.h"

namespace nexus {

// Where announcements go and when; the same for every link.
struct AnnounceSettings {
  uint16_t port = 37020;
  kj::Vector<IpAddress> groups;  // multicast groups of the link, IPv4 and IPv6: joined and announced to
  bool broadcast = true;         // also to the broadcast address of each IPv4 subnet
  kj::Array<SocketAddress> unicastPeers;
  kj::Duration firstInterval = 1 * kj::SECONDS;
  kj::Duration largestInterval = 15 * kj::SECONDS;
};

struct DiscoveryCounters {
  uint64_t sent = 0, sendFailures = 0, received = 0, answersDropped = 0;      // of all links
  uint64_t flooded = 0, malformed = 0, own = 0, otherMesh = 0, wrongKey = 0;  // of what was received
};

class DiscoveryLink {
 public:
  static constexpr size_t MAX_ANSWERS = 16;

  using OnDatagram = kj::Function<void(const SocketAddress& from, kj::ArrayPtr<const kj::byte> datagram)>;

  // packet: what is announced; looked at for each announcement. All of these outlive the link.
  DiscoveryLink(kj::Timer& timer, const AnnounceSettings& settings, kj::StringPtr name,
                const kj::Array<kj::byte>& packet, DiscoveryCounters& counters, BusObserver& observer,
                OnDatagram onDatagram);
  KJ_DISALLOW_COPY_AND_MOVE(DiscoveryLink);

  // Opens the socket; fails with a sentence when the stack refuses it. A group that cannot be joined is no failure: the
  // other ways remain.
  kj::Promise<void> open(idl::NetworkManager::Client net);

  // Announces and listens until the stack fails.
  kj::Promise<void> run();

  // Tells one address, beside the schedule. Beyond MAX_ANSWERS that wait it is dropped and counted.
  void answer(const SocketAddress& to);

  // Everybody now, and the schedule from its start: what is announced has changed.
  void announceAgain();

  kj::StringPtr name() const { return linkName; }

  // Which way is in use, for people; see DiscoveryWays.
  kj::StringPtr wayInUse() const { return ways.inUse(); }

 private:
  struct Group {
    IpAddress address;
    kj::String trouble;  // why it was not joined; empty when it was
  };

  kj::Timer& timer;
  const AnnounceSettings& settings;
  kj::StringPtr linkName;
  const kj::Array<kj::byte>& packet;
  DiscoveryCounters& counts;
  BusObserver& observer;
  OnDatagram onDatagram;

  kj::Maybe<idl::NetworkManager::Client> stack;
  kj::Maybe<idl::UdpSocket::Client> socket;
  kj::Vector<Group> groups;
  kj::Vector<SocketAddress> broadcasts;
  kj::Array<kj::byte> knownAddresses;  // the configuration that the schedule goes by, encoded to be compared
  DiscoveryWays ways;
  bool upTold = false;
  uint64_t restarts = 0;  // of the schedule
  Signal restarted, answerWanted;
  std::deque<SocketAddress> answers;

  kj::Promise<void> announceLoop();
  kj::Promise<void> announceRound();
  kj::Promise<kj::Maybe<kj::String>> announceTo(SocketAddress to);
  kj::Promise<void> answerLoop();
  kj::Promise<void> receiveLoop();
  kj::Promise<void> configLoop();
  void takeConfig(idl::NetConfig::Reader config);
};

}  // namespace nexus
