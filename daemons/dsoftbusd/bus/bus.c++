#include "daemons/dsoftbusd/bus/bus.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/transport/prefixed-stream.h"

namespace nexus {

namespace {

// How much of a stranger's device id is enough to recognise it in the audit log.
constexpr size_t STRANGER_ID_CHARS = 16;

// How long a stranger may take to send its one record.
constexpr kj::Duration STRANGER_DEADLINE = 2 * kj::SECONDS;

}  // namespace

Bus::Bus(LinkContext& context, TrustTable& trust, const HalfOpenLimits& limits)
    : context(context),
      trust(trust),
      halfOpen(limits),
      complaints(1, 20, 1),
      tasks(*this),
      graceTask(graceLoop().eagerlyEvaluate([](kj::Exception&& e) { KJ_LOG(ERROR, "no grace ends any more", e); })) {
  for (auto& peer : trust.all()) allLinks.add(kj::refcounted<PeerLink>(context, peer.clone()));
}

Bus::~Bus() noexcept(false) = default;

// ---- the trust table

Bus::TrustChange Bus::applyTrust(kj::Array<TrustedPeer> peers) {
  endGraces(peers, context.timer.now());
  TrustTable table(kj::mv(peers));  // fails before anything is changed
  TrustChange change;
  kj::Vector<kj::Own<PeerLink>> links;
  for (auto& peer : table.all()) {
    bool known = false;
    for (auto& link : allLinks) {
      if (link.get() == nullptr || link->peer().name != peer.name) continue;
      known = true;
      (link->peer() == peer ? change.kept : change.changed)++;
      link->update(peer);
      links.add(kj::mv(link));
      break;
    }
    if (known) continue;
    change.added++;
    auto link = kj::refcounted<PeerLink>(context, peer.clone());
    for (auto i : kj::indices(transports)) link->setTransport(i, transports[i]);
    links.add(kj::mv(link));
  }
  for (auto& link : allLinks) {
    if (link.get() == nullptr) continue;
    change.removed++;
    counts.revoked++;
    tableChanges += link->generation();  // the sum never shrinks
    auto ended = link->revoke();
    tasks.add(ended.attach(kj::mv(link)));
  }
  allLinks = kj::mv(links);
  trust = kj::mv(table);
  tableChanges++;
  tableChanged.fire();
  return change;
}

kj::Promise<void> Bus::graceLoop() {
  for (;;) {
    auto changed = tableChanged.wait();
    KJ_IF_MAYBE (end, trust.nextGraceEnd()) {
      if (*end <= context.timer.now()) {
        counts.gracesEnded++;
        applyTrust(trust.clone());
        continue;
      }
      co_await changed.exclusiveJoin(context.timer.atTime(*end));
    } else {
      co_await changed;
    }
  }
}

uint32_t Bus::generation() {
  auto sum = tableChanges;
  for (auto& link : allLinks) sum += link->generation();
  return sum;
}

kj::Promise<void> Bus::whenChanged() {
  auto promise = tableChanged.wait();
  for (auto& link : allLinks) {
    promise = promise.exclusiveJoin(link->whenChanged().attach(kj::addRef(*link)));
  }
  return promise;
}

// ---- links

void Bus::setTransport(size_t at, kj::Maybe<Transport&> transport) {
  while (transports.size() <= at) transports.add(nullptr);
  transports[at] = transport;
  for (auto& link : allLinks) link->setTransport(at, transport);
}

void Bus::setRoutes(kj::StringPtr deviceId, kj::ArrayPtr<const PeerRoute> routes) {
  for (auto& link : allLinks) {
    if (link->peer().find(deviceId) != nullptr) link->setRoutes(deviceId, routes);
  }
}

bool Bus::takeAnswerCredit(kj::StringPtr deviceId) {
  for (auto& link : allLinks) {
    if (link->peer().find(deviceId) != nullptr) return link->takeAnswerCredit();
  }
  return false;
}

size_t Bus::recheckStreams() {
  size_t resets = 0;
  for (auto& link : allLinks) resets += link->recheckStreams();
  return resets;
}

kj::Maybe<Transport&> Bus::transport(size_t link) {
  if (link >= transports.size()) return nullptr;
  return transports[link];
}

kj::Maybe<Transport&> Bus::anyTransport() {
  for (auto& transport : transports) {
    if (transport != nullptr) return transport;
  }
  return nullptr;
}

kj::Maybe<PeerLink&> Bus::findLink(kj::StringPtr peer) {
  for (auto& link : allLinks) {
    if (link->peer().name == peer || link->peer().find(peer) != nullptr) return *link;
  }
  return nullptr;
}

// ---- connections

kj::Promise<void> Bus::acceptLoop(Acceptor& acceptor) {
  for (;;) {
    auto connection = co_await acceptor.accept();
    auto& source = connection.remote.address;
    auto place = halfOpen.tryEnter(source, context.timer.now(), standingOf(source));
    KJ_IF_MAYBE (p, place) {
      counts.accepted++;
      auto taken = (*p)->whenTaken();
      tasks.add(greet(kj::mv(connection), kj::mv(*p)).exclusiveJoin(kj::mv(taken)));
    } else {
      counts.refusedHalfOpen++;  // dropped, and with it closed
    }
  }
}

Standing Bus::standingOf(const IpAddress& source) {
  auto best = Standing::UNKNOWN;
  for (auto& link : allLinks) {
    if (link->isProvenAt(source)) return Standing::PROVEN;
    if (link->isHeardAt(source)) best = Standing::HEARD;
  }
  return best;
}

// The handshake of a connection, or null if it went to the pairing door.
kj::Promise<kj::Maybe<HandshakeResult>> Bus::receive(kj::Own<kj::AsyncIoStream> stream, SocketAddress remote,
                                                     HalfOpenLimit::Place& place) {
  auto first = kj::heapArray<kj::byte>(PAIRING_MAGIC_BYTES);
  auto n = co_await stream->tryRead(first.begin(), first.size(), first.size());
  place.spoke();
  if (n == first.size() && first.asPtr() == PAIRING_MAGIC.asBytes()) {
    bool open = door.map([](PairingDoor& d) { return d.isOpen(); }).orDefault(false);
    if (open) {
      KJ_ASSERT_NONNULL(door).take(kj::mv(stream), remote);
    } else {
      counts.pairingRefused++;
    }
    co_return nullptr;
  }
  auto whole = kj::heap<PrefixedStream>(kj::heapArray(first.slice(0, n).asConst()), kj::mv(stream));
  co_return co_await respondToHandshake(kj::mv(whole), context.own, context.timer, context.entropy,
                                        context.limits.records);
}

kj::Promise<void> Bus::greet(Acceptor::Accepted connection, kj::Own<HalfOpenLimit::Place> place) {
  auto remote = connection.remote;
  auto late = context.timer.afterDelay(HANDSHAKE_DEADLINE).then([]() -> kj::Maybe<HandshakeResult> {
    return HandshakeResult(HandshakeFailure::late());
  });
  auto received = co_await receive(kj::mv(connection.stream), remote, *place)
                      .catch_([](kj::Exception&& e) -> kj::Maybe<HandshakeResult> {
                        return HandshakeResult(HandshakeFailure{
                            HandshakeFailure::Kind::CLOSED, kj::str("the connection failed: ", e.getDescription())});
                      })
                      .exclusiveJoin(kj::mv(late));
  if (received == nullptr) co_return;
  auto& result = KJ_ASSERT_NONNULL(received);
  KJ_SWITCH_ONEOF(result) {
    KJ_CASE_ONEOF(failure, HandshakeFailure) {
      complain(failure, remote);
    }
    KJ_CASE_ONEOF(done, HandshakeDone) {
      auto bound = trust.bind(done.peer);
      KJ_SWITCH_ONEOF(bound) {
        KJ_CASE_ONEOF(peer, const TrustedPeer*) {
          context.observer.onConnection(peer->name, remote.address, false);
          KJ_ASSERT_NONNULL(findLink(peer->identity.deviceId))
              .takeIncoming(kj::mv(done.channel), kj::mv(done.peer), remote);
        }
        KJ_CASE_ONEOF(why, kj::String) {
          co_await refuseStranger(kj::mv(done), kj::mv(why), remote);
        }
      }
    }
  }
}

void Bus::complain(const HandshakeFailure& failure, const SocketAddress& remote) {
  counts.handshakeFailures++;
  if (failure.kind == HandshakeFailure::Kind::BAD_IDENTITY) {
    context.audit.append(kj::str("stranger:", remote.address), "", "handshake", CallStatus::UNAUTHENTICATED, 0);
  }
  if (complaints.tryTake("", context.timer.now())) {
    KJ_LOG(WARNING, "handshake failed", remote, failure.what, counts.handshakeFailures);
  }
}

kj::Promise<void> Bus::refuseStranger(HandshakeDone done, kj::String why, SocketAddress remote) {
  counts.strangers++;
  auto stranger = kj::str("stranger:", done.peer.deviceId.slice(0, STRANGER_ID_CHARS));
  if (complaints.tryTake("", context.timer.now())) {
    KJ_LOG(WARNING, "session refused", stranger, remote, why, counts.strangers);
  }
  auto auditId = context.audit.append(stranger, "", "handshake", CallStatus::UNAUTHENTICATED, 0);
  co_await answerOnce(*done.channel, kj::mv(stranger))
      .exclusiveJoin(context.timer.afterDelay(STRANGER_DEADLINE))
      .catch_([](kj::Exception&&) {});  // it went away
  co_await closeChannel(kj::mv(done.channel), CloseMessage{CloseReason::UNAUTHENTICATED, auditId}, context.timer);
}

// Reads one record. A request gets its status, so that even a stranger is never left waiting.
kj::Promise<void> Bus::answerOnce(RecordChannel& channel, kj::String stranger) {
  auto received = co_await channel.receive();
  if (!received.is<RecordChannel::Message>()) co_return;
  auto& record = received.get<RecordChannel::Message>();
  KJ_IF_MAYBE (message, tryParseSessionMessage(record.type, record.body)) {
    if (!message->is<RequestMessage>()) co_return;
    auto& request = message->get<RequestMessage>();
    auto reply = co_await context.proxy.handle({false, stranger}, request.service, request.frame);
    co_await channel.send(ResponseMessage{request.id, reply.status, reply.auditId, reply.reply});
  }
}

void Bus::taskFailed(kj::Exception&& exception) {
  KJ_LOG(WARNING, "a connection failed", exception.getDescription());
}

}  // namespace nexus
