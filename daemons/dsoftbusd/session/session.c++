#include "daemons/dsoftbusd/session/session.h"

#include <kj/debug.h>

namespace nexus {

Session::Session(kj::Own<RecordChannel> channel, MuxRole role, RequestHandler& handler, kj::Timer& timer,
                 kj::Function<void()> onLive, const SessionLimits& limits)
    : channel(kj::mv(channel)),
      handler(handler),
      timer(timer),
      onLive(kj::mv(onLive)),
      limits(limits),
      keepAlive(timer.now(), limits.keepAliveInterval, limits.keepAliveTimeout),
      streams(kj::refcounted<Mux>(role, limits.mux)),
      tasks(*this) {
  streams->serveWith([this](kj::Own<MuxStream> stream) { tasks.add(this->handler.serveStream(kj::mv(stream))); });
}

Session::~Session() noexcept(false) = default;

// ---- running

kj::Promise<SessionEnd> Session::run(bool greet) {
  SessionEnd end{kj::str("cancelled"), nullptr};
  KJ_DEFER({
    stop(end);
    channel = nullptr;  // whoever still holds this object
  });
  auto reading = readLoop().catch_([](kj::Exception&& exception) -> SessionEnd {
    return {kj::str("the connection failed: ", exception.getDescription()), nullptr};
  });
  // A node that cannot say anything holds no session, though the peer may still be heard. The peer's own reason, when
  // it has closed, is on its way: the reader has a moment for it.
  channel->onSendingFailure([this](kj::StringPtr why) {
    tasks.add(
        timer.afterDelay(limits.closeTimeout).then([this, why = kj::str("the connection failed: ", why)]() mutable {
          abandon(kj::mv(why));
        }));
  });
  if (greet) tasks.add(greetPeer());
  channel->placeWith(MUX_DATA_HEAD, [this](uint8_t type, kj::ArrayPtr<const kj::byte> head, size_t following) {
    return streams->tryPlace(type, head, following);
  });
  tasks.add(streams->sendLoop([this](uint8_t type, kj::ArrayPtr<const kj::byte> head,
                                     kj::ArrayPtr<const kj::byte> payload) { channel->putRecord(type, head, payload); },
                              [this] { return channel->whenWritten(); }));
  end = co_await reading.exclusiveJoin(keepAliveLoop()).exclusiveJoin(whenClosed());
  stop(end);  // nothing is read or answered any more, however long the close record takes
  KJ_IF_MAYBE (order, closeOrder) {
    KJ_IF_MAYBE (reason, order->reason) co_await sendClose(CloseMessage{*reason, order->auditId});
  }
  co_return SessionEnd{kj::str(end.why), end.peerReason, end.peerAuditId};
}

kj::Promise<SessionEnd> Session::readLoop() {
  for (;;) {
    // A turn of the event loop for each record, even when more have come: a stream's reader has it meanwhile, and the
    // peer its credit.
    auto received = co_await channel->receive();
    KJ_SWITCH_ONEOF(received) {
      KJ_CASE_ONEOF(message, RecordChannel::Message) {
        keepAlive.heard(timer.now());
        if (message.type >= MUX_FIRST_RECORD_TYPE && message.type <= MUX_LAST_RECORD_TYPE) {
          KJ_IF_MAYBE (why, takeFrame(message)) co_return this->fault(kj::mv(*why));
          continue;
        }
        KJ_IF_MAYBE (end, co_await take(kj::mv(message))) co_return kj::mv(*end);
      }
      KJ_CASE_ONEOF(eof, RecordChannel::EndOfStream) {
        co_return SessionEnd{kj::str("the peer ended the connection without a close record"), nullptr};
      }
      KJ_CASE_ONEOF(fault, RecordChannel::Fault) {
        co_return this->fault(kj::mv(fault.what));
      }
    }
  }
}

// Streams never make the session wait.
kj::Maybe<kj::String> Session::takeFrame(RecordChannel::Message& record) {
  if (record.placed) return nullptr;
  auto admit = [this](kj::StringPtr name) { return handler.admitStream(name); };
  return streams->take(record.type, record.body, admit, kj::mv(record.memory));
}

kj::Promise<kj::Maybe<SessionEnd>> Session::take(RecordChannel::Message record) {
  auto parsed = tryParseSessionMessage(record.type, record.body);
  if (parsed == nullptr) co_return fault(kj::str("a record of type ", record.type, " that is no message"));
  auto message = KJ_ASSERT_NONNULL(kj::mv(parsed));
  KJ_SWITCH_ONEOF(message) {
    KJ_CASE_ONEOF(ping, PingMessage) {
      while (unanswered >= limits.maxWaiting) co_await served.wait();
      unanswered++;
      tasks.add(answerPing(ping.id, kj::heapArray(ping.payload)));
    }
    KJ_CASE_ONEOF(pong, PongMessage) {
      if (!pings.answer(pong.id, kj::heapArray(pong.payload))) lateAnswers++;
    }
    KJ_CASE_ONEOF(request, RequestMessage) {
      while (unanswered >= limits.maxWaiting) co_await served.wait();
      unanswered++;
      tasks.add(serve(request.id, kj::heapArray(request.service), kj::heapArray(request.frame)));
    }
    KJ_CASE_ONEOF(response, ResponseMessage) {
      RemoteReply reply{response.status, response.auditId, kj::heapArray(response.reply)};
      if (!calls.answer(response.id, kj::mv(reply))) lateAnswers++;
    }
    KJ_CASE_ONEOF(close, CloseMessage) {
      co_return SessionEnd{kj::str("closed by the peer: ", closeReasonName(close.reason)), close.reason, close.auditId};
    }
  }
  co_return nullptr;
}

kj::Promise<SessionEnd> Session::keepAliveLoop() {
  for (;;) {
    co_await timer.atTime(kj::max(timer.now(), keepAlive.nextCheck()));
    switch (keepAlive.check(timer.now())) {
      case KeepAlive::Verdict::HEALTHY:
        break;
      case KeepAlive::Verdict::SEND_PING:
        // An answer is heard like everything else; none, and this loop ends the session.
        tasks.add(kj::evalNow([this] { return pingForNode(); }).ignoreResult().catch_([](kj::Exception&&) {}));
        break;
      case KeepAlive::Verdict::TIMED_OUT: {
        auto why = kj::str("nothing heard for ", keepAlive.silence(timer.now()) / kj::SECONDS, " s");
        closeOrder = CloseOrder{CloseReason::TIMED_OUT, kj::str(why)};
        co_return SessionEnd{kj::mv(why), nullptr};
      }
    }
  }
}

kj::Promise<SessionEnd> Session::whenClosed() {
  while (closeOrder == nullptr) co_await closeOrdered.wait();
  co_return SessionEnd{kj::str(KJ_ASSERT_NONNULL(closeOrder).why), nullptr};
}

// Again until one is answered in time: an answer that comes late (the machine stood still, the connection stalled) is
// none, and the keep-alive would hold a session for ever that is never live.
kj::Promise<void> Session::greetPeer() {
  bool answeredInTime = false;
  while (!answeredInTime) {
    answeredInTime = co_await pingForNode().then([](kj::Array<kj::byte>) { return true; },
                                                 [](kj::Exception&& exception) {
                                                   if (exception.getType() != kj::Exception::Type::FAILED)
                                                     kj::throwFatalException(kj::mv(exception));
                                                   return false;
                                                 });
  }
  greeted = true;
  noteLive();
}

void Session::noteLive() {
  if (live || !greeted || !answered) return;
  live = true;
  onLive();
}

kj::Promise<void> Session::answerPing(uint64_t id, kj::Array<kj::byte> payload) {
  KJ_DEFER({
    unanswered--;
    served.fire();
  });
  co_await channel->send(PongMessage{id, payload});
  answered = true;
  noteLive();
}

kj::Promise<void> Session::serve(uint64_t id, kj::Array<char> service, kj::Array<kj::byte> frame) {
  KJ_DEFER({
    unanswered--;
    served.fire();
  });
  while (serving >= limits.maxServing) co_await served.wait();
  RemoteReply reply{};
  {
    serving++;
    KJ_DEFER({
      serving--;
      served.fire();
    });
    reply = co_await handler.handle(service, frame);
  }
  co_await channel->send(ResponseMessage{id, reply.status, reply.auditId, reply.reply});
}

void Session::taskFailed(kj::Exception&& exception) {
  // An unanswered ping or a response that could not be written: run() ends the session.
  if (exception.getType() != kj::Exception::Type::DISCONNECTED) KJ_LOG(WARNING, exception.getDescription());
}

// ---- ending

SessionEnd Session::fault(kj::String why) {
  closeOrder = CloseOrder{CloseReason::PROTOCOL_ERROR, kj::str(why)};
  return {kj::mv(why), nullptr};
}

void Session::close(CloseReason reason, kj::String why, uint64_t auditId) {
  if (ended || closeOrder != nullptr) return;
  closeOrder = CloseOrder{reason, kj::mv(why), auditId};
  closeOrdered.fire();
}

void Session::abandon(kj::String why) {
  if (ended || closeOrder != nullptr) return;
  closeOrder = CloseOrder{nullptr, kj::mv(why)};
  closeOrdered.fire();
}

kj::Promise<void> Session::sendClose(CloseMessage message) {
  return channel->send(message)
      .then([this] { return channel->finish(); })
      .catch_([](kj::Exception&&) {})  // the peer is gone: it needs no close record
      .exclusiveJoin(timer.afterDelay(limits.closeTimeout));
}

// Whoever waits is told; no task goes on.
void Session::stop(const SessionEnd& end) {
  if (ended) return;
  ended = true;
  tasks.clear();
  streams->end(end.why);
  bool unauthenticated = end.peerReason.orDefault(CloseReason::SHUTDOWN) == CloseReason::UNAUTHENTICATED;
  auto gone = [&] { return KJ_EXCEPTION(DISCONNECTED, "the session has ended", end.why); };
  calls.settleAll([&](kj::PromiseFulfiller<RemoteReply>& caller) {
    if (unauthenticated) {
      caller.fulfill(RemoteReply{CallStatus::UNAUTHENTICATED, end.peerAuditId, nullptr});
    } else {
      caller.reject(gone());
    }
  });
  pings.settleAll([&](kj::PromiseFulfiller<kj::Array<kj::byte>>& caller) { caller.reject(gone()); });
}

// ---- asking

void Session::checkNotEnded() const {
  if (ended) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the session has ended"));
}

void Session::checkAcceptsCall() const {
  checkNotEnded();
  if (pings.size() + calls.size() >= limits.maxWaiting) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many calls wait on this session", limits.maxWaiting));
  }
}

kj::Promise<kj::Array<kj::byte>> Session::ping(kj::ArrayPtr<const kj::byte> payload) {
  KJ_REQUIRE(payload.size() <= MAX_PING_PAYLOAD, "the ping payload is too long", payload.size());
  checkAcceptsCall();
  return sendPing(payload);
}

kj::Promise<kj::Array<kj::byte>> Session::pingForNode() {
  checkNotEnded();
  return sendPing(nullptr);
}

kj::Promise<kj::Array<kj::byte>> Session::sendPing(kj::ArrayPtr<const kj::byte> payload) {
  auto id = nextId++;
  auto answer = pings.wait(id);
  return channel->send(PingMessage{id, payload})
      .then([answer = kj::mv(answer)]() mutable { return kj::mv(answer); })
      .exclusiveJoin(timer.afterDelay(limits.callTimeout).then([]() -> kj::Array<kj::byte> {
        kj::throwFatalException(KJ_EXCEPTION(FAILED, "the peer did not answer a ping in time"));
      }))
      .attach(kj::addRef(*this));
}

kj::Promise<RemoteReply> Session::call(kj::ArrayPtr<const char> service, kj::ArrayPtr<const kj::byte> frame) {
  checkAcceptsCall();
  auto id = nextId++;
  auto answer = calls.wait(id);
  // The answer may come, or the session end, before the write is reported: both are looked at together.
  auto sent = channel->send(RequestMessage{id, service, frame}).then([]() -> kj::Promise<RemoteReply> {
    return kj::NEVER_DONE;
  });
  return answer.exclusiveJoin(kj::mv(sent))
      .exclusiveJoin(timer.afterDelay(limits.callTimeout).then([]() -> RemoteReply {
        return {CallStatus::TIMED_OUT, 0, nullptr};
      }))
      .attach(kj::addRef(*this));
}

}  // namespace nexus
