#include "daemons/dsoftbusd/bus/dial-plan.h"

#include <kj/debug.h>

namespace nexus {

DialPlan::DialPlan(const TrustedPeer& peer, const DialTimes& times, kj::TimePoint now)
    : times(times),
      identity(peer.identity.clone()),
      ways(peer.address),
      backoff(times.firstDelay, times.largestDelay),
      notBefore(now),
      lastDial(now - times.spacing) {}

void DialPlan::atOnce(kj::TimePoint now) {
  backoff.reset();
  notBefore = now;
}

void DialPlan::setTransport(size_t link, kj::Maybe<Transport&> transport, kj::TimePoint now) {
  ways.setTransport(link, transport);
  if (transport != nullptr) atOnce(now);
}

DialPlan::News DialPlan::setHeard(const TrustedPeer& peer, kj::StringPtr deviceId,
                                  kj::ArrayPtr<const PeerRoute> heard) {
  bool sameKey = deviceId == identity.deviceId;
  if (heard.size() == 0 && !sameKey) return {};  // it announces another key by now
  isHeard = heard.size() > 0;
  if (!sameKey) identity = KJ_ASSERT_NONNULL(peer.find(deviceId)).clone();
  bool elsewhere = ways.setHeard(heard);
  return {elsewhere, elsewhere || !sameKey};
}

void DialPlan::bringForward(kj::TimePoint now) {
  notBefore = kj::min(notBefore, kj::max(now, lastDial + times.spacing));
}

bool DialPlan::setEntry(const TrustedPeer& peer, kj::TimePoint now) {
  ways.setFixed(peer.address);
  if (peer.accepts(identity)) return false;
  identity = peer.identity.clone();
  isHeard = false;
  ways.setHeard(nullptr);  // those of a device which is not the peer any more
  atOnce(now);
  return true;
}

void DialPlan::failed(const TrustedPeer& peer, bool denied, kj::TimePoint now) {
  ways.failed(denied);
  notBefore = now + backoff.next();
  // Nobody says by which of its keys the peer goes: each is tried in turn.
  KJ_IF_MAYBE (p, peer.previous) {
    if (!isHeard) identity = (identity.deviceId == peer.identity.deviceId ? p->identity : peer.identity).clone();
  }
}

void DialPlan::sessionEnded(kj::Duration lived, kj::TimePoint now) {
  if (lived >= times.stableAfter) backoff.reset();
  notBefore = now + backoff.next();
}

}  // namespace nexus
