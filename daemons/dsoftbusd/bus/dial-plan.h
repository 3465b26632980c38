#pragma once
// When a peer is dialled next, as whom and where: the back-off between attempts, the spacing of those that
// announcements bring forward, the turns of its addresses, and of its two keys while it changes them. Owned by the link
// of that peer. Pure: time comes in, nothing is dialled here.
#include "daemons/dsoftbusd/bus/backoff.h"
#include "daemons/dsoftbusd/bus/peer-routes.h"
#include "daemons/dsoftbusd/trust/trust-table.h"

namespace nexus {

struct DialTimes {
  kj::Duration firstDelay = 250 * kj::MILLISECONDS;  // before the second dial; doubles
  kj::Duration largestDelay = 8 * kj::SECONDS;
  kj::Duration refusedDelay = 30 * kj::SECONDS;  // after the peer said that it does not trust us
  kj::Duration spacing = 1 * kj::SECONDS;        // between dials that announcements bring forward
  kj::Duration stableAfter = 5 * kj::SECONDS;    // a session that lived this long starts the delays over
};

class DialPlan {
 public:
  DialPlan(const TrustedPeer& peer, const DialTimes& times, kj::TimePoint now);

  // One of the identities that the trust entry accepts.
  const PublicIdentity& target() const { return identity; }
  const PeerRoutes& routes() const { return ways; }
  kj::TimePoint due() const { return notBefore; }  // no dial before this

  // A link of this node is there, or gone (null). A new one is dialled over at once.
  void setTransport(size_t link, kj::Maybe<Transport&> transport, kj::TimePoint now);

  struct News {
    bool ways = false;      // other places than before
    bool anything = false;  // or another key
  };
  // Where the peer is heard under one of its device ids, best first; empty: there no more.
  News setHeard(const TrustedPeer& peer, kj::StringPtr deviceId, kj::ArrayPtr<const PeerRoute> heard);

  // The peer is worth a dial now, if the last one was long enough ago.
  void bringForward(kj::TimePoint now);

  // The trust entry was replaced. True when the target was not in it any more: then another is, to be dialled at once.
  bool setEntry(const TrustedPeer& peer, kj::TimePoint now);

  // What became of it.
  void begun(kj::TimePoint now) { lastDial = now; }
  void reached() { ways.worked(); }
  void missed(bool denied) { ways.failed(denied); }  // beside a session: only another address is next
  void failed(const TrustedPeer& peer, bool denied, kj::TimePoint now);
  void sessionEnded(kj::Duration lived, kj::TimePoint now);
  void refused(kj::TimePoint now) { notBefore = now + times.refusedDelay; }

 private:
  DialTimes times;
  PublicIdentity identity;
  bool isHeard = false;  // an announcement says that the peer is this one
  PeerRoutes ways;
  Backoff backoff;
  kj::TimePoint notBefore, lastDial;

  void atOnce(kj::TimePoint now);
};

}  // namespace nexus
