#pragma once
// The one session with one trusted peer, for as long as that is trusted: dials when the plan says so (dial-plan), takes
// over connections that the peer made, keeps exactly one of two, and says in which state it is and why. Owned by the
// bus. Knows nothing of discovery (it is told addresses) and of how connections are accepted.
//
// Two connections at once: the dial of the node with the lower device id survives. A connection of the peer that comes
// while a session lives is kept waiting while that session is probed: if the peer answers there, the new one is closed,
// else it replaces the old one (the peer was restarted). A peer that already speaks on the new connection has no
// session any more and is not waited for. So each end has one session, whichever way messages cross.
//
// A peer that announces itself while its session is silent may have been restarted: second-dial finds out.
//
// A peer that changes its key may be known by two identities for a time (trust-table). It is dialled as the one that it
// announced last; the session remembers by which of them it was opened.
#include "daemons/dsoftbusd/bus/answer-credit.h"
#include "daemons/dsoftbusd/bus/dial-plan.h"
#include "daemons/dsoftbusd/bus/link-context.h"
#include "daemons/dsoftbusd/bus/peer-dialer.h"
#include "daemons/dsoftbusd/bus/peer-requests.h"
#include "daemons/dsoftbusd/trust/trust-table.h"

namespace nexus {

// Made with kj::refcounted.
class PeerLink final : public kj::Refcounted, private SecondDial::Owner, private kj::TaskSet::ErrorHandler {
 public:
  PeerLink(LinkContext& context, TrustedPeer peer);
  ~PeerLink() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(PeerLink);

  const TrustedPeer& peer() const { return trusted; }

  // A link of this node is there, or gone (null). A new one is dialled over at once.
  void setTransport(size_t link, kj::Maybe<Transport&> transport);

  // The trust table has a new entry of that name. What was opened by a key that it no longer accepts ends as in
  // revoke(); the link goes on.
  void update(const TrustedPeer& entry);

  // The peer is not trusted any more: ends the session, the handshake or the dial at once, with an audit record, and
  // dials no more. To be dropped when the promise is done, at most a second later.
  kj::Promise<void> revoke();
  bool isRevoked() const { return revoked; }

  // An announcement of the peer, by one of its device ids, was heard: where it is now, best first. Empty: it has aged
  // out.
  void setRoutes(kj::StringPtr deviceId, kj::ArrayPtr<const PeerRoute> routes);

  // Whether an announcement of the peer should be answered at once (answer-credit.h); counts as done.
  bool takeAnswerCredit() { return answers.take(context.timer.now()); }

  // A connection of the peer, handshake done and bound to this peer.
  void takeIncoming(kj::Own<RecordChannel> channel, PublicIdentity proven, SocketAddress remote);

  // The other end of the session that runs; null without one.
  kj::Maybe<SocketAddress> sessionPlace() const { return running == nullptr ? nullptr : place; }

  // Whether the peer is announced at that address, which proves nothing; whether it was authenticated there, or the
  // trust entry says so.
  bool isHeardAt(const IpAddress& address) const { return plan.routes().isHeardAt(address); }
  bool isProvenAt(const IpAddress& address) const;

  // By which identity the peer is known now: that of the session, else the one to be dialled.
  const PublicIdentity& knownAs() const { return running == nullptr ? plan.target() : openedBy; }

  idl::SessionState state() const { return currentState; }
  kj::StringPtr reason() const { return currentReason; }

  // This node's own network policy forbids every address of the peer: no session can come of dialling it.
  bool isDenied() const { return plan.routes().allDenied(); }

  // Grows with each change of state or reason.
  uint32_t generation() const { return changes; }
  kj::Promise<void> whenChanged() { return stateChanged.wait(); }

  // The live session, or null.
  kj::Maybe<kj::Own<Session>> session();

  // Asks the policy again about the streams that the peer has open; resets those that it does not allow any more. How
  // many.
  size_t recheckStreams() {
    return running.map([this](kj::Own<Session>& session) { return requests.recheck(*session); }).orDefault(0);
  }

  // What the peer's requests meet.
  RequestHandler& handler() { return requests; }

  struct Counters {
    uint64_t dials = 0, dialFailures = 0, incoming = 0, live = 0, superseded = 0;
  };
  const Counters& counters() const { return counts; }
  const SecondDial::Counters& doubts() const { return secondDial.counters(); }

 private:
  enum class Phase { WAITING, DIALING, RUNNING };
  enum class Role { INITIATOR, RESPONDER };

  // A connection, handshake done, and who the peer proved to be.
  struct Connection {
    kj::Own<RecordChannel> channel;
    PublicIdentity proven;
    SocketAddress remote;
    Role role;                             // of this node
    kj::Promise<void> watching = nullptr;  // of the channel
  };

  LinkContext& context;
  TrustedPeer trusted;  // its name never changes: calls under way refer to it
  bool revoked = false;
  bool untrusted = false;  // the dial under way is for an identity that is not accepted any more

  DialPlan plan;
  Phase phase = Phase::WAITING;
  Role role = Role::INITIATOR;  // of the running session
  idl::SessionState currentState = idl::SessionState::IDLE;
  kj::String currentReason;
  kj::String lastFailure;  // empty when there was none
  uint32_t changes = 1;
  Signal stateChanged;
  AnswerCredit answers;
  Counters counts;

  kj::Maybe<kj::Own<Session>> running;
  PublicIdentity openedBy;          // of the running session
  kj::Maybe<SocketAddress> place;   // of the running session, or the last one
  SocketAddress dialledAgain;       // by the second dial
  kj::Maybe<Connection> candidate;  // waits for the decision
  Signal wake;                      // something that the loop waits for
  Signal yield;                     // the dial under way is to be given up
  Signal moved;                     // the peer is no longer where we dial it
  Signal loopEnd;
  bool loopEnded = false;
  kj::TaskSet tasks;  // probes, closing of superseded connections
  PeerRequests requests;
  PeerDialer dialer;
  SecondDial secondDial;
  kj::Promise<void> loopTask;  // last: uses the rest

  // The running session's peer: authenticated only while its key is accepted, so that what still arrives in the turn of
  // the event loop in which that ended is refused.
  RemoteCaller caller() const { return {!isRejected(openedBy), trusted.name, openedBy.deviceId}; }
  kj::Promise<void> loop();
  kj::Promise<void> waitForWork();
  kj::Promise<void> step();
  kj::Promise<kj::Maybe<Connection>> dial();
  kj::Promise<HandshakeResult> whenMovedFrom(SocketAddress address);
  kj::Promise<HandshakeResult> dialQuietly(PeerRoutes::Choice route, kj::Duration connectTimeout);
  kj::Promise<void> run(Connection connection);
  void waitForDecision(Session& session);
  void takeUndecided();
  kj::Promise<void> whenLoopEnded();
  kj::Promise<void> probe(kj::Own<Session> session);
  void noteEnd(const SessionEnd& end, kj::Duration lived);
  void noteDialFailure(kj::StringPtr what, bool denied);
  void onLive();
  bool isLowerThanUs(const PublicIdentity& peer) const { return peer.deviceId < context.own.deviceId(); }
  bool isRejected(const PublicIdentity& proven) const { return revoked || !trusted.accepts(proven); }
  void endUntrusted(kj::StringPtr why);
  void supersede(Connection connection, CloseReason reason = CloseReason::SUPERSEDED, uint64_t auditId = 0);
  void dropCandidate();
  void setIdle(kj::StringPtr why);
  void setState(idl::SessionState state, kj::StringPtr reason);

  kj::Maybe<kj::Promise<HandshakeResult>> dialAgain(kj::Duration connectTimeout) override;
  void onSilence() override { answers.peerSilent(); }
  void onChosen(HandshakeDone connection) override;
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace nexus
