#include "daemons/dsoftbusd/remote/remote-proxy.h"

#include <kj/debug.h>

namespace nexus {

// One call from its arrival to its one audit record.
struct RemoteProxy::Pending {
  Pending(RemoteProxy& proxy, const RemoteCaller& caller, kj::ArrayPtr<const char> service, size_t requestBytes)
      : proxy(proxy),
        name(kj::str(caller.name)),
        deviceId(kj::str(caller.deviceId)),
        caller{caller.authenticated, name, deviceId},
        service(kj::heapString(service)),
        requestBytes(requestBytes) {}
  ~Pending() noexcept(false) {
    if (!settled) settle(CallStatus::CANCELLED);
  }
  KJ_DISALLOW_COPY_AND_MOVE(Pending);

  RemoteProxy& proxy;
  kj::String name, deviceId;
  RemoteCaller caller;
  kj::String service;
  kj::StringPtr operation = nullptr;
  size_t requestBytes;
  AuditPolicy decidedBy;
  bool settled = false;

  RemoteReply settle(CallStatus verdict, kj::Array<kj::byte> reply = nullptr) {
    KJ_ASSERT(!settled);
    settled = true;
    proxy.counts[uint16_t(verdict)]++;
    auto id = proxy.audit.append(name, service, operation, verdict, requestBytes, decidedBy);
    proxy.observer.onDecision(caller, service, verdict);
    if (verdict == CallStatus::DENIED && !proxy.policy.names(name, service)) proxy.observer.onServiceDenied(caller);
    return {verdict, id, kj::mv(reply)};
  }
};

RemoteProxy::RemoteProxy(kj::Timer& timer, LivePolicy& policy, RateLimiter& rate, AuditLog& audit,
                         RemoteProxyObserver& observer, kj::Array<Backend> backends)
    : timer(timer), policy(policy), rate(rate), audit(audit), observer(observer), backends(kj::mv(backends)) {}

kj::Promise<RemoteReply> RemoteProxy::handle(RemoteCaller caller, kj::ArrayPtr<const char> service,
                                             kj::ArrayPtr<const kj::byte> frame) {
  observer.onRequest(caller);
  auto pending = kj::heap<Pending>(*this, caller, service, frame.size());
  auto verdict = decide(*pending, frame);
  if (verdict != CallStatus::OK) return pending->settle(verdict);
  auto* backend = findBackend(service);
  if (backend == nullptr) return pending->settle(CallStatus::BACKEND_FAILED);
  auto& known = KJ_ASSERT_NONNULL(findRemoteService(service));
  KJ_IF_MAYBE (refusal, known.refusal(frame)) {
    auto reply = pending->settle(CallStatus::REFUSED, kj::mv(*refusal));
    noteChange(known, pending->caller, frame, reply.auditId, nullptr);
    reply.status = CallStatus::OK;  // of the call; the reply says no in the service's own words
    return kj::mv(reply);
  }
  return forward(kj::mv(pending), *backend, kj::heapArray(frame));
}

namespace {

// What a rule about a stream of that name has to name.
struct StreamQuestion {
  explicit StreamQuestion(kj::StringPtr name) {
    KJ_IF_MAYBE (stream, findServiceStream(name)) {
      service = kj::str(stream->service.name);
      operation = stream->operation;
      served = true;
    } else {
      service = kj::str(STREAM_SERVICE_PREFIX, name);
    }
  }
  kj::String service;
  kj::StringPtr operation = STREAM_OPERATION;
  bool served = false;
};

}  // namespace

StreamDecision RemoteProxy::mayOpenStream(const RemoteCaller& caller, kj::StringPtr name) {
  StreamQuestion q(name);
  auto verdict = CallStatus::DENIED;
  AuditPolicy decidedBy;
  if (!caller.authenticated) {
    verdict = CallStatus::UNAUTHENTICATED;
  } else if (!rate.tryTake(caller.name, timer.now())) {
    verdict = CallStatus::RATE_LIMITED;
  } else if (allows(caller.name, q.service, q.operation, decidedBy)) {
    verdict = CallStatus::OK;
  }
  counts[uint16_t(verdict)]++;
  auto id = audit.append(caller.name, q.service, q.operation, verdict, 0, decidedBy);
  return {verdict == CallStatus::OK, id, q.served};
}

RemoteProxy::Admission::Admission(RemoteProxy& proxy, const RemoteCaller& caller, kj::StringPtr service,
                                  kj::StringPtr operation, size_t requestBytes)
    : proxy(proxy),
      caller(kj::str(caller.name)),
      service(kj::str(service)),
      operation(kj::str(operation)),
      requestBytes(requestBytes) {}

RemoteProxy::Admission::~Admission() noexcept(false) {
  if (id == 0) settle(CallStatus::CANCELLED);
}

uint64_t RemoteProxy::Admission::settle(CallStatus verdict) {
  KJ_ASSERT(id == 0);
  proxy.counts[uint16_t(verdict)]++;
  return id = proxy.audit.append(caller, service, operation, verdict, requestBytes, decidedBy);
}

kj::Own<RemoteProxy::Admission> RemoteProxy::admitCall(const RemoteCaller& caller, kj::StringPtr service,
                                                       kj::StringPtr operation, size_t requestBytes, CallStatus found) {
  auto admission = kj::heap<Admission>(*this, caller, service, operation, requestBytes);
  auto verdict = found;
  if (!caller.authenticated) {
    verdict = CallStatus::UNAUTHENTICATED;
  } else if (!rate.tryTake(caller.name, timer.now())) {
    verdict = CallStatus::RATE_LIMITED;
  } else if (found == CallStatus::OK && !allows(caller.name, service, operation, admission->decidedBy)) {
    verdict = CallStatus::DENIED;
  }
  if (verdict != CallStatus::OK) {
    admission->refusal = verdict;
    admission->settle(verdict);
  }
  return admission;
}

StreamDecision RemoteProxy::mayOpenCalls(const RemoteCaller& caller, kj::StringPtr service, kj::StringPtr operation,
                                         CallStatus found) {
  auto verdict = found;
  AuditPolicy decidedBy;
  if (!caller.authenticated) {
    verdict = CallStatus::UNAUTHENTICATED;
  } else if (!rate.tryTake(caller.name, timer.now())) {
    verdict = CallStatus::RATE_LIMITED;
  } else if (found == CallStatus::OK) {
    auto decision = policy.decideNamed(caller.name, service);
    decidedBy = {policy.generation(), decision.dryRun};
    if (!decision.allowed) verdict = CallStatus::DENIED;
  }
  counts[uint16_t(verdict)]++;
  return {verdict == CallStatus::OK, audit.append(caller.name, service, operation, verdict, 0, decidedBy)};
}

StreamDecision RemoteProxy::mayKeepCalls(const RemoteCaller& caller, kj::StringPtr service, kj::StringPtr operation) {
  if (caller.authenticated && policy.names(caller.name, service)) return {true, 0};
  counts[uint16_t(CallStatus::DENIED)]++;
  AuditPolicy decidedBy{policy.generation(), DryRunVerdict::SAME};
  return {false, audit.append(caller.name, service, operation, CallStatus::DENIED, 0, decidedBy)};
}

StreamDecision RemoteProxy::mayKeepStream(const RemoteCaller& caller, kj::StringPtr name) {
  StreamQuestion q(name);
  if (caller.authenticated && policy.allows(caller.name, q.service, q.operation)) return {true, 0, q.served};
  counts[uint16_t(CallStatus::DENIED)]++;
  AuditPolicy decidedBy{policy.generation(), DryRunVerdict::SAME};
  auto id = audit.append(caller.name, q.service, q.operation, CallStatus::DENIED, 0, decidedBy);
  return {false, id, q.served};
}

kj::Promise<void> RemoteProxy::serveStream(RemoteCaller asked, kj::String name, kj::Own<kj::AsyncIoStream> stream) {
  auto peer = kj::str(asked.name), deviceId = kj::str(asked.deviceId);
  RemoteCaller caller{asked.authenticated, peer, deviceId};
  auto target = KJ_ASSERT_NONNULL(findServiceStream(name), "a stream of no service", name);
  auto service = target.service.name;
  auto operation = target.operation;
  auto status = CallStatus::CANCELLED;  // until it is known
  KJ_DEFER({
    streamOutcomes[uint16_t(status)]++;
    auto outcome = statusName(status);
    KJ_LOG(INFO, "a stream of a service has ended", peer, service, operation, outcome);
  });
  auto* backend = findBackend(service);
  if (backend == nullptr) {
    status = CallStatus::BACKEND_FAILED;
  } else {
    status = co_await backend->serveStream(caller, operation, kj::mv(stream));
  }
  if (status == CallStatus::OK) observer.onServed(caller, service, operation);
}

bool RemoteProxy::allows(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation, AuditPolicy& decidedBy) {
  auto decision = policy.decide(peer, service, operation);
  decidedBy = {policy.generation(), decision.dryRun};
  return decision.allowed;
}

CallStatus RemoteProxy::decide(Pending& call, kj::ArrayPtr<const kj::byte> frame) {
  auto& caller = call.caller;
  if (!caller.authenticated) return CallStatus::UNAUTHENTICATED;
  if (!rate.tryTake(caller.name, timer.now())) return CallStatus::RATE_LIMITED;
  KJ_IF_MAYBE (service, findRemoteService(call.service)) {
    if (frame.size() > MAX_CALL_FRAME) return CallStatus::OVERSIZED;
    KJ_IF_MAYBE (name, service->operationOf(frame)) {
      call.operation = *name;
      bool allowed = service->offers(*name) && allows(caller.name, service->name, *name, call.decidedBy);
      return allowed ? CallStatus::OK : CallStatus::DENIED;
    }
    return CallStatus::MALFORMED;
  }
  return CallStatus::DENIED;
}

kj::Promise<RemoteReply> RemoteProxy::forward(kj::Own<Pending> pending, ServiceBackend& backend,
                                              kj::Array<kj::byte> frame) {
  struct Answer {
    CallStatus status;
    kj::Array<kj::byte> reply;
  };
  auto timedOut = timer.afterDelay(BACKEND_DEADLINE).then([]() -> Answer { return {CallStatus::TIMED_OUT, nullptr}; });
  auto request = kj::heapArray(frame.asPtr());
  auto answered = kj::evalNow([&] { return backend.call(pending->caller, kj::mv(frame)); })
                      .then([](kj::Array<kj::byte> reply) -> Answer { return {CallStatus::OK, kj::mv(reply)}; },
                            [](kj::Exception&& exception) -> Answer {
                              KJ_LOG(WARNING, "a service did not answer a proxied call", exception.getDescription());
                              return {CallStatus::BACKEND_FAILED, nullptr};
                            });
  auto answer = co_await answered.exclusiveJoin(kj::mv(timedOut));
  if (answer.reply.size() > MAX_CALL_REPLY) co_return pending->settle(CallStatus::REPLY_OVERSIZED);
  if (answer.status != CallStatus::OK) co_return pending->settle(answer.status);
  auto& service = KJ_ASSERT_NONNULL(findRemoteService(pending->service));
  auto verdict = service.judgeReply(request, answer.reply);
  if (verdict == ReplyVerdict::NOT_A_REPLY) co_return pending->settle(CallStatus::BACKEND_FAILED);
  auto reply = pending->settle(CallStatus::OK, kj::mv(answer.reply));
  noteChange(service, pending->caller, request, reply.auditId, verdict);
  if (verdict == ReplyVerdict::OK) observer.onServed(pending->caller, pending->service, pending->operation);
  co_return reply;
}

void RemoteProxy::noteChange(const RemoteService& service, const RemoteCaller& caller,
                             kj::ArrayPtr<const kj::byte> frame, uint64_t auditId, kj::Maybe<ReplyVerdict> verdict) {
  KJ_IF_MAYBE (line, service.auditLine(frame, verdict)) audit.note(*line, caller.name, auditId);
}

void RemoteProxy::endSession(kj::StringPtr peer) {
  for (auto& backend : backends) backend.backend->endSession(peer);
}

bool RemoteProxy::serves(kj::StringPtr service) const {
  for (auto& backend : backends) {
    if (backend.service == service) return true;
  }
  return false;
}

ServiceBackend* RemoteProxy::findBackend(kj::ArrayPtr<const char> service) {
  for (auto& backend : backends) {
    if (backend.service.asArray() == service) return backend.backend.get();
  }
  return nullptr;
}

}  // namespace nexus
