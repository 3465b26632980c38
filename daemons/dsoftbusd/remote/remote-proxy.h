#pragma once
// Decides about every call of a remote node and forwards the few that are allowed. The checks, in this order:
// authenticated, rate, service known, size, parse, policy, what the service keeps from other nodes; then the backend
// with a deadline, then its reply. Streams that a remote node opens are decided about here too, by name. The rate comes
// before everything that a caller can get wrong, so that a flood of calls that would be denied costs little and pushes
// nothing out of the audit ring. Every call is answered, whatever is wrong with it, with a status and the id of its
// audit record. Owned by dsoftbusd, shared by all sessions. Knows nothing of sessions: the caller's name comes from the
// trust table after its key was proven.
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/map.h>
#include <kj/timer.h>

#include "daemons/dsoftbusd/policy/audit-log.h"
#include "daemons/dsoftbusd/policy/live-policy.h"
#include "daemons/dsoftbusd/policy/rate-limiter.h"
#include "daemons/dsoftbusd/remote/remote-services.h"

namespace nexus {

struct RemoteCaller {
  bool authenticated;
  kj::StringPtr name;                // of the trust table; for a stranger, what is known of it (for the audit record)
  kj::StringPtr deviceId = nullptr;  // 64 hexadecimal digits, proven; empty for a stranger
};

// Where the allowed frames of one service go.
class ServiceBackend {
 public:
  virtual ~ServiceBackend() noexcept(false) = default;

  // The reply to one request frame. Any exception means that the backend failed. caller: always authenticated; lives as
  // long as the promise.
  virtual kj::Promise<kj::Array<kj::byte>> call(const RemoteCaller& caller, kj::Array<kj::byte> frame) = 0;

  // Does a streamed operation (remote-services.h) over a stream that was let in for it, until the stream ends. Never
  // fails; OK when the peer was given all of it. caller lives as long as the promise.
  virtual kj::Promise<CallStatus> serveStream(const RemoteCaller& caller, kj::StringPtr operation,
                                              kj::Own<kj::AsyncIoStream> stream) {
    return CallStatus::BACKEND_FAILED;
  }

  // The session with that peer is over, or the peer is trusted no more: what is kept for it goes. None of its calls is
  // under way. Peers have one session at a time.
  virtual void endSession(kj::StringPtr peer) {}
};

struct RemoteReply {
  CallStatus status;
  uint64_t auditId;
  kj::Array<kj::byte> reply;  // empty unless ok
};

struct StreamDecision {
  bool allowed;
  uint64_t auditId;
  bool served = false;  // by serveStream(), not by a program
};

// Hears of decisions, for markers. Defaults do nothing.
class RemoteProxyObserver {
 public:
  virtual ~RemoteProxyObserver() noexcept(false) = default;
  virtual void onRequest(const RemoteCaller& caller) {}
  virtual void onDecision(const RemoteCaller& caller, kj::ArrayPtr<const char> service, CallStatus status) {}
  virtual void onServiceDenied(const RemoteCaller& caller) {}  // no rule names that service for that caller

  // The service itself answered OK, and the caller gets that.
  virtual void onServed(const RemoteCaller& caller, kj::StringPtr service, kj::StringPtr operation) {}
};

class RemoteProxy {
 public:
  struct Backend {
    kj::StringPtr service;  // one of remoteServices()
    kj::Own<ServiceBackend> backend;
  };

  // How long a backend may take, kj::Duration.
  static constexpr kj::Duration BACKEND_DEADLINE = 2 * kj::SECONDS;

  // policy may change at any time; a call that was let pass is finished all the same.
  RemoteProxy(kj::Timer& timer, LivePolicy& policy, RateLimiter& rate, AuditLog& audit, RemoteProxyObserver& observer,
              kj::Array<Backend> backends);
  KJ_DISALLOW_COPY_AND_MOVE(RemoteProxy);

  // Never fails for what a caller sent. Cancelling leaves an audit record with the verdict CANCELLED if the frame was
  // already forwarded.
  kj::Promise<RemoteReply> handle(RemoteCaller caller, kj::ArrayPtr<const char> service,
                                  kj::ArrayPtr<const kj::byte> frame);

  // Whether the caller may open a stream of that name to this node: a rule (caller, "stream:NAME", "open") says so, or
  // for a streamed operation a rule (caller, service, operation). It costs a token and leaves an audit record as a call
  // does.
  StreamDecision mayOpenStream(const RemoteCaller& caller, kj::StringPtr name);

  // Whether a stream of that name that the caller has open may stay so under the policy as it is now. Costs no token;
  // only a refusal leaves an audit record.
  StreamDecision mayKeepStream(const RemoteCaller& caller, kj::StringPtr name);

  // Serves a stream that mayOpenStream() let in as served; never fails. Dropping the promise ends it, which counts as
  // CANCELLED.
  kj::Promise<void> serveStream(RemoteCaller caller, kj::String name, kj::Own<kj::AsyncIoStream> stream);

  // One call that is no frame (schema-rpc/), from its arrival to its one audit record. Dropping an open one records it
  // as CANCELLED.
  class Admission {
   public:
    Admission(RemoteProxy& proxy, const RemoteCaller& caller, kj::StringPtr service, kj::StringPtr operation,
              size_t requestBytes);
    ~Admission() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Admission);

    // OK: to be forwarded and settled. Anything else: refused, and auditId() is the id of the record.
    CallStatus verdict() const { return refusal.orDefault(CallStatus::OK); }
    uint64_t auditId() const { return id; }

    // Writes the record of an admitted call, once; its id.
    uint64_t settle(CallStatus verdict);

   private:
    friend class RemoteProxy;
    RemoteProxy& proxy;
    kj::String caller, service, operation;
    size_t requestBytes;
    AuditPolicy decidedBy;
    kj::Maybe<CallStatus> refusal;
    uint64_t id = 0;  // 0: not settled
  };

  // The checks of handle() for such a call. found: OK, or what its receiver saw wrong with it; that counts after the
  // rate and before the policy.
  kj::Own<Admission> admitCall(const RemoteCaller& caller, kj::StringPtr service, kj::StringPtr operation,
                               size_t requestBytes, CallStatus found = CallStatus::OK);

  // Whether the caller may open a stream for calls of that service ("rpc:NAME"): any rule names the two. As
  // mayOpenStream otherwise. found: as in admitCall.
  StreamDecision mayOpenCalls(const RemoteCaller& caller, kj::StringPtr service, kj::StringPtr operation,
                              CallStatus found = CallStatus::OK);

  // As mayKeepStream, for a stream for calls.
  StreamDecision mayKeepCalls(const RemoteCaller& caller, kj::StringPtr service, kj::StringPtr operation);

  // To be called when the session with the peer of that name has ended, for whatever reason: the backends forget it.
  void endSession(kj::StringPtr peer);

  // Whether there is a backend for that service.
  bool serves(kj::StringPtr service) const;

  // Calls and openings of streams by verdict, index = CallStatus.
  uint64_t count(CallStatus verdict) const { return counts[uint16_t(verdict)]; }

  // Streams that were served, by what became of them.
  uint64_t streamCount(CallStatus outcome) const { return streamOutcomes[uint16_t(outcome)]; }

 private:
  struct Pending;

  kj::Timer& timer;
  LivePolicy& policy;
  RateLimiter& rate;
  AuditLog& audit;
  RemoteProxyObserver& observer;
  kj::Array<Backend> backends;
  uint64_t counts[CALL_VERDICTS] = {};
  uint64_t streamOutcomes[CALL_VERDICTS] = {};

  // The verdict before any backend is asked; OK means: forward it. Names the operation when it can be told.
  CallStatus decide(Pending& call, kj::ArrayPtr<const kj::byte> frame);
  bool allows(kj::StringPtr peer, kj::StringPtr service, kj::StringPtr operation, AuditPolicy& decidedBy);
  kj::Promise<RemoteReply> forward(kj::Own<Pending> pending, ServiceBackend& backend, kj::Array<kj::byte> frame);
  void noteChange(const RemoteService& service, const RemoteCaller& caller, kj::ArrayPtr<const kj::byte> frame,
                  uint64_t auditId, kj::Maybe<ReplyVerdict> verdict);
  ServiceBackend* findBackend(kj::ArrayPtr<const char> service);
};

}  // namespace nexus
