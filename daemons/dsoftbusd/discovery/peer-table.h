#pragma once
// The peers whose announcements were heard: bounded, most recently used first, ageing out, with a limit on how much one
// source, and all sources together, may announce. Owned by discovery. Time comes in with every call. What is in here is
// hearsay: an announcement proves nothing, and the caller says which device ids are trusted, so that a flood of
// strangers cannot push known peers out.
#include <kj/function.h>
#include <kj/map.h>
#include <kj/string.h>
#include <kj/time.h>

#include <list>

#include "daemons/dsoftbusd/discovery/announce-packet.h"
#include "libs/nexus-net-os/net/ip-address.h"

namespace nexus {

struct PeerTableLimits {
  size_t capacity = 16;                             // peers
  kj::Duration timeToLive = 60 * kj::SECONDS;       // since the last announcement
  kj::uint perSecond = 10, burst = 20;              // datagrams of one source address
  kj::uint totalPerSecond = 100, totalBurst = 200;  // of all; as much again of trusted devices
  size_t sources = 64;  // source addresses remembered for the limit; the one unheard for longest is forgotten first
};

// Where an announcement came from: over which link of this node, from which address.
struct PeerPlace {
  IpAddress address;  // the source of the datagram
  size_t link = 0;

  bool operator==(const PeerPlace&) const = default;
};

struct Peer {
  struct HeardAt {
    PeerPlace place;
    uint16_t sessionPort;  // as announced from there: who announces from elsewhere has no say about this place
    kj::TimePoint lastHeard;
  };

  Announce announce;
  kj::Vector<HeardAt> places;  // 1 to MAX_PLACES; the one heard of last first, whether or not it was heard again since
  bool trusted;
  kj::TimePoint lastHeard;

  const PeerPlace& place() const { return places[0].place; }
  SocketAddress session() const { return {place().address, places[0].sessionPort}; }
};

class PeerTable {
 public:
  // Places kept of one peer, which is heard over each link and address family that it shares with this node; then the
  // one unheard for longest is forgotten.
  static constexpr size_t MAX_PLACES = 4;

  explicit PeerTable(kj::TimePoint now, const PeerTableLimits& limits = {});
  KJ_DISALLOW_COPY_AND_MOVE(PeerTable);

  // Whether a datagram of that source is to be looked at. Ask before decoding; false is counted.
  bool admit(const IpAddress& source, kj::TimePoint now) {
    return admit(source, now, [] { return false; });
  }
  // isTrusted: whether the datagram says that it is of a trusted device; asked only when what all sources share is used
  // up. Such a one is then taken from a share of its own, so that a crowded segment does not silence the few that this
  // node waits for.
  bool admit(const IpAddress& source, kj::TimePoint now, kj::FunctionParam<bool()> isTrusted);

  enum class Heard {
    LEARNED,    // a peer that was not in the table
    CHANGED,    // another port, key, services or place than before
    UNCHANGED,  // the same again: only its age is renewed
    REFUSED,    // an untrusted stranger, and the table is full of trusted peers; counted
  };
  // Puts the peer first. When the table is full, the least recently used untrusted peer goes; if there is none and the
  // newcomer is trusted, the least recently used of all.
  Heard hear(Announce announce, const PeerPlace& from, bool trusted, kj::TimePoint now);

  // The peer of that device id, or null. get() makes it the most recently used.
  kj::Maybe<const Peer&> get(kj::StringPtr deviceId);
  kj::Maybe<const Peer&> peek(kj::StringPtr deviceId) const;

  // Drops the peers of which that holds.
  void drop(kj::FunctionParam<bool(const Announce&)> isForged);

  // Asks anew of every peer whether it is trusted; returns the device ids of those that were not before.
  kj::Array<kj::String> retrust(kj::FunctionParam<bool(const Announce&)> isTrusted);

  // Drops the places that are older than the time to live, and the peers that have none left. Returns the device ids
  // of both.
  kj::Array<kj::String> expire(kj::TimePoint now);

  // When expire() will next have something to do; null when the table is empty.
  kj::Maybe<kj::TimePoint> nextExpiry() const;

  // Most recently used first.
  kj::Array<const Peer*> all() const;
  size_t size() const { return peers.size(); }

  // Grows with every change that all() would show, order and ages excepted. Never 0.
  uint32_t generation() const { return changes; }

  struct Counters {
    uint64_t learned = 0, changed = 0, unchanged = 0;
    uint64_t evicted = 0, expired = 0, refused = 0;
    uint64_t floodedSource = 0, floodedTotal = 0, sourcesForgotten = 0;
  };
  const Counters& counters() const { return counts; }

 private:
  struct Bucket {
    double tokens;
    kj::TimePoint updated;
    bool take(kj::TimePoint now, kj::uint perSecond, kj::uint burst);
  };
  struct Source {
    IpAddress address;
    Bucket bucket;
  };

  PeerTableLimits limits;
  std::list<Peer> peers;      // most recently used first
  std::list<Source> sources;  // most recently heard first
  kj::HashMap<IpAddress, std::list<Source>::iterator> sourceAt;
  Bucket total, trustedTotal;
  Counters counts;
  uint32_t changes = 1;

  Bucket& bucketOf(const IpAddress& source, kj::TimePoint now);
  std::list<Peer>::iterator find(kj::StringPtr deviceId);
  bool makeRoom(bool trusted);
  // Whether the place is new, or its port.
  static bool notePlace(Peer& peer, const PeerPlace& from, uint16_t sessionPort, kj::TimePoint now);
  void changed();
};

}  // namespace nexus
