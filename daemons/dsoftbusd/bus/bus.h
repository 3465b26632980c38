#pragma once
// The sessions of a node: one link for each trusted peer, and the door through which others connect. A connection
// passes the bounds on half-open handshakes, then the handshake, then the trust table; only then does the link of its
// peer get it. A stranger whose handshake is sound gets its refusal: one request is answered with the status
// unauthenticated, everything else with a close record. Owned by dsoftbusd. Knows nothing of discovery; is told
// addresses.
#include "daemons/dsoftbusd/bus/half-open-limit.h"
#include "daemons/dsoftbusd/bus/peer-link.h"
#include "daemons/dsoftbusd/pairing/pairing-door.h"

namespace nexus {

class Bus final : private kj::TaskSet::ErrorHandler {
 public:
  // context and trust outlive the bus. From now on the bus alone changes the table.
  Bus(LinkContext& context, TrustTable& trust, const HalfOpenLimits& limits = {});
  ~Bus() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Bus);

  // What a new trust table changed, by number of peers.
  struct TrustChange {
    size_t added = 0, removed = 0, changed = 0, kept = 0;
  };

  // Makes `peers` the trust table. Peers are told apart by name. One that did not change keeps its session; one whose
  // keys changed keeps it if the key that opened it is still accepted. All other sessions, handshakes and dials end at
  // once: the peer gets a close record with the reason unauthenticated, callers get DISCONNECTED, streams end, an
  // audit record is left. FAILED, with nothing changed, when two entries share a name or a device id. References into
  // the table and of findLink() are to be asked for again.
  TrustChange applyTrust(kj::Array<TrustedPeer> peers);

  // A link of this node is there, or gone (null). Links are numbered as the configuration lists them.
  void setTransport(size_t link, kj::Maybe<Transport&> transport);

  // Where a trusted peer is, best first; empty when nobody knows. Other device ids are ignored.
  void setRoutes(kj::StringPtr deviceId, kj::ArrayPtr<const PeerRoute> routes);
  // Whether an announcement of that peer, just heard, should be answered at once; counts as done.
  bool takeAnswerCredit(kj::StringPtr deviceId);

  // Takes the connections of one link until it fails, which is when the stack is gone. acceptor outlives the promise.
  kj::Promise<void> acceptLoop(Acceptor& acceptor);

  // The policy was replaced: open streams of peers that it does not allow are reset. How many.
  size_t recheckStreams();

  // That link, or the first one that is there; null without a network.
  kj::Maybe<Transport&> transport(size_t link);
  kj::Maybe<Transport&> anyTransport();

  // Connections that begin as a pairing go there; without a door, or while it is closed, they are closed at once. door
  // outlives the bus.
  void setPairingDoor(PairingDoor& newDoor) { door = newDoor; }

  // By name or device id. Whoever keeps it over a turn of the event loop takes a reference: its peer may be revoked.
  kj::Maybe<PeerLink&> findLink(kj::StringPtr peer);
  kj::ArrayPtr<kj::Own<PeerLink>> links() { return allLinks.asPtr(); }

  // Grows with each change of a link and of the table.
  uint32_t generation();
  kj::Promise<void> whenChanged();

  struct Counters {
    uint64_t accepted = 0, refusedHalfOpen = 0, handshakeFailures = 0, strangers = 0, revoked = 0, gracesEnded = 0;
    uint64_t pairingRefused = 0;  // connections, while no window was open or another node was in it
  };
  const Counters& counters() const { return counts; }
  kj::uint halfOpenCount() const { return halfOpen.count(); }
  kj::uint halfOpenOfOneSource() const { return halfOpen.mostOfOneSource(); }
  const HalfOpenLimit::Counters& halfOpenCounters() const { return halfOpen.counters(); }  // refusedHalfOpen, by bound

 private:
  LinkContext& context;
  TrustTable& trust;
  HalfOpenLimit halfOpen;
  RateLimiter complaints;  // log lines about failed handshakes and strangers
  Counters counts;
  kj::Vector<kj::Own<PeerLink>> allLinks;
  kj::Vector<kj::Maybe<Transport&>> transports;  // of the links, by their number
  kj::Maybe<PairingDoor&> door;
  uint32_t tableChanges = 0;
  Signal tableChanged;
  kj::TaskSet tasks;  // handshakes under way, the ends of revoked links; before what they use
  kj::Promise<void> graceTask;

  kj::Promise<void> graceLoop();

  Standing standingOf(const IpAddress& source);
  kj::Promise<kj::Maybe<HandshakeResult>> receive(kj::Own<kj::AsyncIoStream> stream, SocketAddress remote,
                                                  HalfOpenLimit::Place& place);
  kj::Promise<void> greet(Acceptor::Accepted connection, kj::Own<HalfOpenLimit::Place> place);
  kj::Promise<void> refuseStranger(HandshakeDone done, kj::String why, SocketAddress remote);
  kj::Promise<void> answerOnce(RecordChannel& channel, kj::String stranger);
  void complain(const HandshakeFailure& failure, const SocketAddress& remote);
  void taskFailed(kj::Exception&& exception) override;
};

}  // namespace nexus
