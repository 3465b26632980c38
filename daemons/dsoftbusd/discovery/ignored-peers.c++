#include "daemons/dsoftbusd/discovery/ignored-peers.h"

#include <algorithm>

namespace nexus {

bool IgnoredPeers::note(kj::StringPtr deviceId, const SocketAddress& at, kj::StringPtr reason, kj::TimePoint now) {
  auto known = std::find_if(entries.begin(), entries.end(), [&](auto& e) { return e.deviceId == deviceId; });
  bool isNews = known == entries.end() || known->reason != reason;
  if (known != entries.end()) {
    entries.splice(entries.begin(), entries, known);
  } else {
    if (entries.size() >= capacity) {
      entries.pop_back();
      pushedOut++;
    }
    entries.emplace_front().deviceId = kj::str(deviceId);
  }
  auto& entry = entries.front();
  if (isNews) {
    entry.reason = kj::str(reason);
    entry.count = 0;
  }
  entry.at = at;
  entry.count++;
  entry.lastHeard = now;
  return isNews;
}

bool IgnoredPeers::forget(kj::StringPtr deviceId) {
  return entries.remove_if([&](auto& e) { return e.deviceId == deviceId; }) > 0;
}

bool IgnoredPeers::expire(kj::TimePoint now, kj::Duration timeToLive) {
  return entries.remove_if([&](auto& e) { return now - e.lastHeard >= timeToLive; }) > 0;
}

kj::Maybe<const IgnoredPeer&> IgnoredPeers::find(kj::StringPtr deviceId) const {
  for (auto& entry : entries) {
    if (entry.deviceId == deviceId) return entry;
  }
  return nullptr;
}

}  // namespace nexus
