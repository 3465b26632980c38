#include "daemons/dsoftbusd/bus/peer-link.h"

#include <kj/debug.h>

namespace nexus {

using State = idl::SessionState;

PeerLink::PeerLink(LinkContext& context, TrustedPeer peer)
    : context(context),
      trusted(kj::mv(peer)),
      plan(trusted, context.limits.dial, context.timer.now()),
      tasks(*this),
      requests(context, [this] { return caller(); }),
      dialer(context, trusted.name),
      secondDial(context.timer, *this, context.limits.doubt),
      loopTask(
          loop().eagerlyEvaluate([](kj::Exception&& exception) { KJ_LOG(ERROR, "a peer link ended", exception); })) {}

PeerLink::~PeerLink() noexcept(false) = default;

// ---- what the link is told

void PeerLink::setTransport(size_t link, kj::Maybe<Transport&> transport) {
  plan.setTransport(link, transport, context.timer.now());
  wake.fire();
}

void PeerLink::setRoutes(kj::StringPtr deviceId, kj::ArrayPtr<const PeerRoute> heard) {
  auto news = plan.setHeard(trusted, deviceId, heard);
  if (news.ways) moved.fire();
  if (heard.size() == 0) return;
  // A peer that announces itself is worth a dial, except when it has just said that it does not want us.
  if (news.anything || currentState != State::REFUSED) {
    plan.bringForward(context.timer.now());
    wake.fire();
  }
  KJ_IF_MAYBE (session, running) {
    if ((*session)->isLive()) secondDial.doubt(**session);
  }
}

void PeerLink::takeIncoming(kj::Own<RecordChannel> channel, PublicIdentity proven, SocketAddress remote) {
  counts.incoming++;
  bool peerIsLower = isLowerThanUs(proven);
  KJ_IF_MAYBE (older, candidate) supersede(kj::mv(*older));
  candidate = Connection{kj::mv(channel), kj::mv(proven), remote, Role::RESPONDER};
  switch (phase) {
    case Phase::WAITING:
      wake.fire();
      break;
    case Phase::DIALING:
      // The peer knows nothing yet of a dial that has reached nobody: it is no competitor.
      if (peerIsLower || currentState == State::DIALING) yield.fire();
      break;
    case Phase::RUNNING: {
      auto& session = KJ_ASSERT_NONNULL(running);
      if (!session->isLive() && role == Role::INITIATOR && peerIsLower) {
        session->close(CloseReason::SUPERSEDED, kj::str("the peer's own dial goes first"));
      } else {
        waitForDecision(*session);
      }
      break;
    }
  }
}

// The same peer has connected again. One that speaks there has lost the session, if that was live: it had chosen it.
// One that says nothing is in doubt, or has dialled at the same moment: it is asked in the session.
void PeerLink::waitForDecision(Session& session) {
  tasks.add(probe(kj::addRef(session)));
  if (!session.isLive()) return;
  auto& connection = KJ_ASSERT_NONNULL(candidate);
  auto speaks = connection.channel->speaks().then([&session](bool speaks) {
    if (speaks) session.abandon(kj::str("the peer has a new session"));
  });
  connection.watching = speaks.attach(kj::addRef(session)).eagerlyEvaluate(nullptr);
}

// Whether the running session's peer is still there.
kj::Promise<void> PeerLink::probe(kj::Own<Session> session) {
  auto answered = kj::evalNow([&] { return session->pingForNode(); })
                      .then([](kj::Array<kj::byte>) { return true; }, [](kj::Exception&&) { return false; })
                      .exclusiveJoin(context.timer.afterDelay(context.limits.probeTimeout).then([] { return false; }));
  bool alive = co_await answered;
  if (session->hasEnded()) co_return;  // the loop takes the candidate
  if (alive) {
    dropCandidate();
  } else {
    session->close(CloseReason::SUPERSEDED, kj::str("the peer connected again and did not answer here"));
  }
}

void PeerLink::supersede(Connection connection, CloseReason reason, uint64_t auditId) {
  counts.superseded++;
  connection.watching = nullptr;
  tasks.add(closeChannel(kj::mv(connection.channel), CloseMessage{reason, auditId}, context.timer));
}

void PeerLink::dropCandidate() {
  KJ_IF_MAYBE (incoming, candidate) {
    auto refused = kj::mv(*incoming);
    candidate = nullptr;
    supersede(kj::mv(refused));
  }
}

// ---- the end of trust

void PeerLink::update(const TrustedPeer& entry) {
  KJ_REQUIRE(entry.name == trusted.name);
  if (entry == trusted) return;
  trusted.identity = entry.identity.clone();
  trusted.dial = entry.dial;
  trusted.address = entry.address;
  trusted.paired = entry.paired;
  trusted.previous = nullptr;
  KJ_IF_MAYBE (p, entry.previous) trusted.previous = PreviousIdentity{p->identity.clone(), p->until};
  if (isRejected(openedBy)) place = nullptr;
  if (plan.setEntry(trusted, context.timer.now())) {
    lastFailure = nullptr;
    untrusted = phase == Phase::DIALING;
  }
  endUntrusted("the trust table has another key of this peer");
  changes++;
  stateChanged.fire();
  wake.fire();
}

kj::Promise<void> PeerLink::revoke() {
  KJ_REQUIRE(!revoked);
  setState(State::IDLE, "no longer trusted by this node");
  revoked = true;
  endUntrusted("no longer trusted by this node");
  wake.fire();
  return whenLoopEnded();
}

// Ends whatever was opened, or is being opened, by a key that is not accepted any more: all of it, once revoked.
void PeerLink::endUntrusted(kj::StringPtr why) {
  bool sessionEnds = running != nullptr && isRejected(openedBy);
  bool candidateEnds = candidate.map([&](Connection& c) { return isRejected(c.proven); }).orDefault(false);
  untrusted = phase == Phase::DIALING && (untrusted || revoked);
  if (!revoked && !sessionEnds && !candidateEnds && !untrusted) return;
  auto auditId = context.audit.append(trusted.name, "", "revoke", CallStatus::UNAUTHENTICATED, 0);
  auto& peer = trusted.name;
  KJ_LOG(INFO, "trust ended", peer, why, auditId);
  if (candidateEnds) {
    auto incoming = KJ_ASSERT_NONNULL(kj::mv(candidate));
    candidate = nullptr;
    supersede(kj::mv(incoming), CloseReason::UNAUTHENTICATED, auditId);
  }
  if (sessionEnds) KJ_ASSERT_NONNULL(running)->close(CloseReason::UNAUTHENTICATED, kj::str(why), auditId);
  if (untrusted) yield.fire();
}

kj::Promise<void> PeerLink::whenLoopEnded() {
  while (!loopEnded) co_await loopEnd.wait();
  co_await tasks.onEmpty();
}

// ---- the loop

kj::Promise<void> PeerLink::loop() {
  while (!revoked) co_await step();
  loopEnded = true;
  loopEnd.fire();
}

// One session, or one attempt at it.
kj::Promise<void> PeerLink::step() {
  phase = Phase::WAITING;
  co_await waitForWork();
  if (revoked) co_return;
  KJ_IF_MAYBE (c, candidate) {
    auto incoming = kj::mv(*c);
    candidate = nullptr;
    // It may have waited for long: whoever was trusted when it came need not be so now.
    if (isRejected(incoming.proven)) {
      supersede(kj::mv(incoming), CloseReason::UNAUTHENTICATED);
    } else {
      co_await run(kj::mv(incoming));
    }
    co_return;
  }
  auto dialled = co_await dial();
  KJ_IF_MAYBE (connection, dialled) {
    if (candidate != nullptr && isLowerThanUs(connection->proven)) {
      supersede(kj::mv(*connection));
    } else {
      dropCandidate();
      co_await run(kj::mv(*connection));
    }
  }
}

// Until there is a connection of the peer, or it is time to dial.
kj::Promise<void> PeerLink::waitForWork() {
  for (;;) {
    if (candidate != nullptr || revoked) co_return;
    if (!plan.routes().hasLink()) {
      setIdle("the network stack is not there");
    } else if (!trusted.dial) {
      setIdle("waits for the peer to dial");
    } else if (plan.routes().next() == nullptr) {
      setIdle(plan.routes().isKnown() ? "the link over which the peer was heard is not there"
                                      : "no announcement of the peer is known");
    } else if (context.timer.now() >= plan.due()) {
      co_return;
    } else {
      co_await wake.wait().exclusiveJoin(context.timer.atTime(plan.due()));
      continue;
    }
    co_await wake.wait();
  }
}

void PeerLink::setIdle(kj::StringPtr why) {
  if (currentState == State::REFUSED) return;  // the more important thing to know
  setState(State::IDLE, lastFailure.size() == 0 ? kj::str(why) : kj::str(why, "; before: ", lastFailure));
}

kj::Promise<kj::Maybe<PeerLink::Connection>> PeerLink::dial() {
  phase = Phase::DIALING;
  untrusted = false;
  counts.dials++;
  plan.begun(context.timer.now());
  auto route = KJ_ASSERT_NONNULL(plan.routes().next());
  bool denied = false;
  setState(State::DIALING, kj::str("dials ", route.to));
  auto attempt = dialer.dial(route, plan.target(), context.limits.connectTimeout, denied,
                             [this, to = route.to] { setState(State::HANDSHAKING, kj::str("handshake with ", to)); });
  auto yielded = yield.wait().then([]() -> HandshakeResult {
    return HandshakeFailure{HandshakeFailure::Kind::CLOSED, kj::str("the dial was given up")};
  });
  auto result = co_await attempt.exclusiveJoin(kj::mv(yielded)).exclusiveJoin(whenMovedFrom(route.to));
  if (untrusted) co_return nullptr;  // even if the handshake was done in the same moment
  KJ_SWITCH_ONEOF(result) {
    KJ_CASE_ONEOF(done, HandshakeDone) {
      plan.reached();
      co_return Connection{kj::mv(done.channel), kj::mv(done.peer), route.to, Role::INITIATOR};
    }
    KJ_CASE_ONEOF(failure, HandshakeFailure) {
      if (candidate == nullptr) noteDialFailure(failure.what, denied);
    }
  }
  co_return nullptr;
}

// Until announcements say that the peer is elsewhere; the address may take long to prove dead.
kj::Promise<HandshakeResult> PeerLink::whenMovedFrom(SocketAddress address) {
  while (plan.routes().contains(address)) co_await moved.wait();
  co_return HandshakeFailure{HandshakeFailure::Kind::CLOSED, kj::str("the peer is no longer at ", address)};
}

kj::Promise<void> PeerLink::run(Connection connection) {
  connection.watching = nullptr;
  phase = Phase::RUNNING;
  role = connection.role;
  openedBy = kj::mv(connection.proven);
  place = connection.remote;
  setState(State::HANDSHAKING, "authenticated; waits for the first pong");
  context.observer.onAuthenticated(trusted.name);
  auto started = context.timer.now();
  auto muxRole = role == Role::INITIATOR ? MuxRole::INITIATOR : MuxRole::RESPONDER;
  auto session = kj::refcounted<Session>(
      kj::mv(connection.channel), muxRole, requests, context.timer, [this] { onLive(); }, context.limits.session);
  running = kj::addRef(*session);
  KJ_DEFER(context.proxy.endSession(trusted.name));  // also when the link itself goes
  auto end = co_await session->run();
  running = nullptr;
  takeUndecided();
  noteEnd(end, context.timer.now() - started);
}

// ---- the second dial

kj::Maybe<kj::Promise<HandshakeResult>> PeerLink::dialAgain(kj::Duration connectTimeout) {
  if (!trusted.dial || revoked) return nullptr;
  KJ_IF_MAYBE (route, plan.routes().next()) {
    auto& peer = trusted.name;
    KJ_LOG(INFO, "the peer announces itself and is silent in its session: dials again", peer, route->to);
    plan.begun(context.timer.now());
    dialledAgain = route->to;
    return dialQuietly(*route, connectTimeout);
  }
  return nullptr;
}

// The session goes on, and with it what this link says of itself.
kj::Promise<HandshakeResult> PeerLink::dialQuietly(PeerRoutes::Choice route, kj::Duration connectTimeout) {
  bool denied = false;
  auto result = co_await dialer.dial(route, plan.target(), connectTimeout, denied, [] {});
  if (result.is<HandshakeFailure>()) plan.missed(denied);
  co_return result;
}

void PeerLink::onChosen(HandshakeDone connection) {
  if (isRejected(connection.peer) || running == nullptr) return;
  dropCandidate();
  candidate = Connection{kj::mv(connection.channel), kj::mv(connection.peer), dialledAgain, Role::INITIATOR};
  KJ_ASSERT_NONNULL(running)->abandon(kj::str("the peer has lost this session"));
}

// The session has ended while the peer had not decided: then there is nothing to decide. Of two connections that of the
// lower device id survives.
void PeerLink::takeUndecided() {
  auto undecided = secondDial.stop();
  KJ_IF_MAYBE (own, undecided) {
    Connection connection{kj::mv(own->channel), kj::mv(own->peer), dialledAgain, Role::INITIATOR};
    bool peerGoesFirst = candidate.map([&](Connection& c) { return isLowerThanUs(c.proven); }).orDefault(false);
    if (isRejected(connection.proven) || peerGoesFirst) return supersede(kj::mv(connection));
    dropCandidate();
    candidate = kj::mv(connection);
  }
}

void PeerLink::onLive() {
  counts.live++;
  answers.sessionLive();
  lastFailure = nullptr;
  setState(State::READY, role == Role::INITIATOR ? "session dialled by this node" : "session dialled by the peer");
  auto& peer = trusted.name;
  KJ_LOG(INFO, "session is live", peer, currentReason);
  context.observer.onLive(trusted.name);
}

void PeerLink::noteEnd(const SessionEnd& end, kj::Duration lived) {
  auto& peer = trusted.name;
  KJ_LOG(INFO, "session ended", peer, end.why);
  lastFailure = kj::str(end.why);
  answers.sessionEnded();
  KJ_IF_MAYBE (reason, end.peerReason) {
    if (*reason == CloseReason::UNAUTHENTICATED) {
      plan.refused(context.timer.now());
      setState(State::REFUSED,
               kj::str("the peer does not trust this node's key (audit record ", end.peerAuditId, " there)"));
      return;
    }
  }
  plan.sessionEnded(lived, context.timer.now());
  setState(State::BACKOFF, end.why);
}

void PeerLink::noteDialFailure(kj::StringPtr what, bool denied) {
  counts.dialFailures++;
  plan.failed(trusted, denied, context.timer.now());
  lastFailure = kj::str(what);
  setState(State::BACKOFF, what);
}

// ---- the rest

kj::Maybe<kj::Own<Session>> PeerLink::session() {
  if (revoked) return nullptr;
  KJ_IF_MAYBE (session, running) {
    if ((*session)->isLive()) return kj::addRef(**session);
  }
  return nullptr;
}

bool PeerLink::isProvenAt(const IpAddress& address) const {
  return plan.routes().isFixedAt(address) ||
         place.map([&](const SocketAddress& at) { return at.address == address; }).orDefault(false);
}

void PeerLink::setState(State state, kj::StringPtr reason) {
  if (revoked || (state == currentState && currentReason == reason)) return;
  currentState = state;
  currentReason = kj::str(reason);
  changes++;
  stateChanged.fire();
}

void PeerLink::taskFailed(kj::Exception&& exception) {
  KJ_LOG(WARNING, trusted.name, exception.getDescription());
}

}  // namespace nexus
