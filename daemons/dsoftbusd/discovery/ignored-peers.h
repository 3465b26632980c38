#pragma once
// The devices whose announcements are ignored, and why: for people who wonder where a peer is. Bounded: the one unheard
// for longest makes room, and is counted. Owned by discovery. What is in here is hearsay and decides nothing.
#include <kj/string.h>
#include <kj/time.h>

#include <list>

#include "daemons/dsoftbusd/discovery/peer-table.h"

namespace nexus {

struct IgnoredPeer {
  kj::String deviceId;
  SocketAddress at;
  kj::String reason;   // a clause for people
  uint64_t count = 0;  // announcements ignored for that reason
  kj::TimePoint lastHeard = kj::origin<kj::TimePoint>();
};

class IgnoredPeers {
 public:
  explicit IgnoredPeers(size_t capacity = 16) : capacity(capacity) {}

  // Returns whether that device was not in the list, or for another reason.
  bool note(kj::StringPtr deviceId, const SocketAddress& at, kj::StringPtr reason, kj::TimePoint now);

  // It is no longer ignored. Returns whether it was.
  bool forget(kj::StringPtr deviceId);

  // Drops those unheard for that long. Returns whether there were any.
  bool expire(kj::TimePoint now, kj::Duration timeToLive);

  kj::Maybe<const IgnoredPeer&> find(kj::StringPtr deviceId) const;
  const std::list<IgnoredPeer>& all() const { return entries; }  // heard last first
  uint64_t forgotten() const { return pushedOut; }

 private:
  size_t capacity;
  std::list<IgnoredPeer> entries;
  uint64_t pushedOut = 0;
};

}  // namespace nexus
