#pragma once
// The sessions of a node: one link for each trusted peer, and the door through which others connect. A connection
// passes the bounds on half-open handshakes, then the handshake, then the trust table; only then does the link of its
// peer get it. A stranger whose handshake is sound gets its refusal: one request is answered with the status
// unauthenticated, everything else with a close record. Owned by dsoftbusd. Knows nothing of discovery; is told
// addresses.
#include "daemons/dsoftbusd/half-open-limit.h"
#include "daemons/dsoftbusd/peer-link.h"

namespace nexus {

class Bus final : private kj::TaskSet::ErrorHandler {
 public:
  // context and trust outlive the bus.
  Bus(LinkContext& context, const TrustTable& trust, const HalfOpenLimits& limits = {});
  ~Bus() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Bus);

  // A link of this node is there, or gone (null). Links are numbered as the configuration lists them.
  void setTransport(size_t link, kj::Maybe<Transport&> transport);

  // Where a trusted peer is, best first; empty when nobody knows. Other device ids are ignored.
  void setRoutes(kj::StringPtr deviceId, kj::ArrayPtr<const PeerRoute> routes);

  // Takes the connections of one link until it fails, which is when the stack is gone. acceptor outlives the promise.
  kj::Promise<void> acceptLoop(Acceptor& acceptor);

  // By name or device id.
  kj::Maybe<PeerLink&> findLink(kj::StringPtr peer);
  kj::ArrayPtr<kj::Own<PeerLink>> links() { return allLinks; }

  struct Counters {
    uint64_t accepted = 0, refusedHalfOpen = 0, handshakeFailures = 0, strangers = 0;
  };
  const Counters& counters() const { return counts; }
  kj::uint halfOpenCount() const { return halfOpen.count(); }
  const HalfOpenLimit::Counters& halfOpenCounters() const { return halfOpen.counters(); }  // refusedHalfOpen, by bound

 private:
  LinkContext& context;
  const TrustTable& trust;
  HalfOpenLimit halfOpen;
  RateLimiter complaints;  // log lines about failed handshakes
  Counters counts;
  kj::Array<kj::Own<PeerLink>> allLinks;
  kj::TaskSet tasks;  // handshakes under way; before what they use

  kj::Promise<void> greet(Acceptor::Accepted connection, kj::Own<HalfOpenLimit::Place> place);
  kj::Promise<void> refuseStranger(HandshakeDone done, kj::String why, SocketAddress remote);
  kj::Promise<void> answerOnce(RecordChannel& channel, kj::String stranger);
  void complain(const HandshakeFailure& failure, const SocketAddress& remote);
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace nexus
