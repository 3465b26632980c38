#include "daemons/dsoftbusd/remote/remote-proxy.h"

#include <doctest/doctest.h>
#include <kj/encoding.h>
#include <kj/vector.h>

#include <array>

#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {
namespace {

using Bytes = kj::Array<kj::byte>;

// Records what it was asked and answers as told.
class ScriptedBackend final : public ServiceBackend {
 public:
  enum class Mode { ANSWER, THROW, HANG };

  explicit ScriptedBackend(kj::Vector<Bytes>& calls) : calls(calls) {}

  kj::Promise<Bytes> call(const RemoteCaller& caller, Bytes frame) override {
    lastCaller = kj::str(caller.name, " ", caller.deviceId);
    calls.add(kj::mv(frame));
    if (mode == Mode::THROW) return KJ_EXCEPTION(DISCONNECTED, "the service is gone");
    if (mode == Mode::HANG) return kj::NEVER_DONE;
    return kj::heapArray(reply.asPtr());
  }

  kj::Promise<CallStatus> serveStream(const RemoteCaller& caller, kj::StringPtr operation,
                                      kj::Own<kj::AsyncIoStream> stream) override {
    lastCaller = kj::str(caller.name, " ", operation);
    if (mode == Mode::HANG) {
      kj::byte nothing;
      co_await stream->tryRead(&nothing, 1, 1);
    }
    co_return streamOutcome;
  }

  void endSession(kj::StringPtr peer) override { ended.add(kj::str(peer)); }

  kj::String lastCaller;
  kj::Vector<kj::String> ended;
  Mode mode = Mode::ANSWER;
  CallStatus streamOutcome = CallStatus::OK;
  Bytes reply = kj::decodeHex(
      "534d01860000000000000000"
      "00"_kj);

 private:
  kj::Vector<Bytes>& calls;
};

class CountingObserver final : public RemoteProxyObserver {
 public:
  kj::uint requests = 0, servicesDenied = 0, served = 0;
  void onServed(const RemoteCaller&, kj::StringPtr, kj::StringPtr) override { served++; }
  void onServiceDenied(const RemoteCaller&) override { servicesDenied++; }
  kj::Vector<CallStatus> decisions;
  void onRequest(const RemoteCaller&) override { requests++; }
  void onDecision(const RemoteCaller&, kj::ArrayPtr<const char>, CallStatus status) override { decisions.add(status); }
};

kj::Array<PolicyRule> policyOf(std::initializer_list<std::array<kj::StringPtr, 3>> triples) {
  kj::Vector<PolicyRule> rules;
  for (auto& t : triples) rules.add(PolicyRule{kj::str(t[0]), kj::str(t[1]), kj::arr(kj::str(t[2]))});
  return rules.releaseAsArray();
}

kj::Array<PolicyRule> usualPolicy() {
  return policyOf({{"node-a"_kj, "samgrd"_kj, "resolve-status"_kj}, {"node-a"_kj, "bundlemgrd"_kj, "list"_kj}});
}

struct Fixture {
  SimClock sim;
  kj::Vector<Bytes> calls;  // of both backends
  AuditLog audit{sim.timer, 2000};
  LivePolicy policy;
  RateLimiter rate;
  CountingObserver observer;
  ScriptedBackend* samgr = nullptr;
  ScriptedBackend* bundlemgr = nullptr;
  kj::Own<RemoteProxy> proxy;

  explicit Fixture(kj::Array<PolicyRule> rules = usualPolicy(), kj::uint perSecond = 50, kj::uint burst = 100)
      : policy(kj::mv(rules)), rate(perSecond, burst) {
    auto s = kj::heap<ScriptedBackend>(calls), b = kj::heap<ScriptedBackend>(calls);
    samgr = s.get(), bundlemgr = b.get();
    bundlemgr->reply = kj::decodeHex(
        "424e0181000200"
        "00"_kj);
    auto backends = kj::heapArrayBuilder<RemoteProxy::Backend>(2);
    backends.add(RemoteProxy::Backend{"samgrd"_kj, kj::mv(s)});
    backends.add(RemoteProxy::Backend{"bundlemgrd"_kj, kj::mv(b)});
    proxy = kj::heap<RemoteProxy>(sim.timer, policy, rate, audit, observer, backends.finish());
  }

  RemoteReply call(kj::StringPtr service, kj::ArrayPtr<const kj::byte> frame,
                   RemoteCaller caller = {true, "node-a"_kj}) {
    return sim.run(proxy->handle(caller, service.asArray(), frame));
  }

  AuditEntry lastAudit() {
    AuditEntry last;
    audit.forEachAfter(0, [&](const AuditEntry& e) {
      last = AuditEntry{e.id,           e.time,    kj::str(e.peer), kj::str(e.service), kj::str(e.operation), e.verdict,
                        e.requestBytes, e.repeats, e.policy};
    });
    return last;
  }
};

const auto RESOLVE = kj::decodeHex("534d01060a62756e646c656d677264"_kj);  // resolve-status bundlemgrd
const auto LIST = kj::decodeHex("424e0101"_kj);

TEST_CASE("an allowed call is forwarded byte for byte and its reply comes back") {
  Fixture f;
  auto reply = f.call("samgrd", RESOLVE);
  CHECK(reply.status == CallStatus::OK);
  CHECK(reply.reply.size() == 13);
  REQUIRE(f.calls.size() == 1);
  CHECK(f.calls[0] == RESOLVE);
  CHECK(f.call("bundlemgrd", LIST).status == CallStatus::OK);
  CHECK(f.calls[1] == LIST);
  CHECK(f.proxy->count(CallStatus::OK) == 2);
}

TEST_CASE("a backend learns who calls, by name and proven device id, and when that peer's session is over") {
  Fixture f;
  f.call("samgrd", RESOLVE, {true, "node-a"_kj, "0123abcd"_kj});
  CHECK(f.samgr->lastCaller == "node-a 0123abcd");
  CHECK(f.samgr->ended.size() == 0);
  f.proxy->endSession("node-a");
  for (auto* backend : {f.samgr, f.bundlemgr}) {
    REQUIRE(backend->ended.size() == 1);
    CHECK(backend->ended[0] == "node-a");
  }
}

TEST_CASE("a stream of a service is counted by what became of it, also when it is given up") {
  Fixture f(policyOf({{"node-a"_kj, "bundlemgrd"_kj, "fetch-image"_kj}}));
  auto name = "svc:bundlemgrd/fetch-image#1"_kj;
  auto decision = f.proxy->mayOpenStream({true, "node-a"_kj}, name);
  CHECK(decision.allowed);
  CHECK(decision.served);
  auto serve = [&] {
    auto pipe = kj::newTwoWayPipe();
    return f.proxy->serveStream({true, "node-a"_kj}, kj::str(name), kj::mv(pipe.ends[0]));
  };
  f.sim.run(serve());
  CHECK(f.bundlemgr->lastCaller == "node-a fetch-image");
  CHECK(f.proxy->streamCount(CallStatus::OK) == 1);
  CHECK(f.observer.served == 1);
  for (auto outcome : {CallStatus::BACKEND_FAILED, CallStatus::TIMED_OUT, CallStatus::RATE_LIMITED}) {
    f.bundlemgr->streamOutcome = outcome;
    f.sim.run(serve());
    CHECK(f.proxy->streamCount(outcome) == 1);
  }
  CHECK(f.observer.served == 1);
  f.bundlemgr->mode = ScriptedBackend::Mode::HANG;
  {
    auto pipe = kj::newTwoWayPipe();
    auto dropped = f.proxy->serveStream({true, "node-a"_kj}, kj::str(name), kj::mv(pipe.ends[0]));
    f.sim.advance(1 * kj::SECONDS);
    CHECK(f.proxy->streamCount(CallStatus::CANCELLED) == 0);
  }
  CHECK(f.proxy->streamCount(CallStatus::CANCELLED) == 1);
  CHECK(f.proxy->streamCount(CallStatus::OK) == 1);
  CHECK(f.audit.size() == 1);  // one decision
}

TEST_CASE("test_reject_remote_unauthenticated_remote_call") {
  Fixture f;
  // The name of an allowed peer is of no use without the proof; and this check comes first, whatever else is wrong.
  auto big = kj::heapArray<kj::byte>(1000);
  for (auto& frame : {RESOLVE.asPtr(), LIST.asPtr(), kj::ArrayPtr<const kj::byte>(big)}) {
    auto reply = f.call("samgrd", frame, {false, "node-a"_kj});
    CHECK(reply.status == CallStatus::UNAUTHENTICATED);
    CHECK(reply.auditId == f.audit.lastId());
    CHECK(reply.reply.size() == 0);
  }
  CHECK(f.call("nothing", RESOLVE, {false, "x"_kj}).status == CallStatus::UNAUTHENTICATED);
  CHECK(f.calls.size() == 0);
  CHECK(f.lastAudit().verdict == CallStatus::UNAUTHENTICATED);
}

TEST_CASE("test_reject_remote_disallowed_service_proxy") {
  Fixture f;
  for (auto service : {"policyd"_kj, "keystored"_kj, "samgr"_kj, "samgrd "_kj, "SAMGRD"_kj, ""_kj}) {
    auto reply = f.call(service, RESOLVE);
    CHECK(reply.status == CallStatus::DENIED);
    CHECK(reply.auditId != 0);
  }
  CHECK(f.calls.size() == 0);
  CHECK(f.audit.size() == 6);
  CHECK(f.observer.servicesDenied == 6);
  // An operation without a rule of a service that has one is denied too, but the service is known.
  CHECK(f.call("samgrd", kj::decodeHex("534d01010100000000000000007a"_kj)).status == CallStatus::DENIED);
  CHECK(f.observer.servicesDenied == 6);
}

TEST_CASE("test_reject_remote_oversized_remote_request") {
  Fixture f;
  auto frame = kj::heapArray<kj::byte>(257);
  memset(frame.begin(), 0, frame.size());
  auto reply = f.call("samgrd", frame);
  CHECK(reply.status == CallStatus::OVERSIZED);
  CHECK(reply.auditId == f.audit.lastId());
  CHECK(f.calls.size() == 0);
  CHECK(f.lastAudit().requestBytes == 257);
  // At the bound it is looked at, and found not to be a frame.
  CHECK(f.call("samgrd", frame.slice(0, 256)).status == CallStatus::MALFORMED);
}

TEST_CASE("test_reject_remote_audit_remote_call_logged") {
  Fixture f;
  auto allowed = f.call("samgrd", RESOLVE);
  auto entry = f.lastAudit();
  CHECK(entry.id == allowed.auditId);
  CHECK(entry.peer == "node-a");
  CHECK(entry.service == "samgrd");
  CHECK(entry.operation == "resolve-status");
  CHECK(entry.verdict == CallStatus::OK);
  CHECK(entry.requestBytes == RESOLVE.size());
  CHECK(f.audit.size() == 1);

  auto denied = f.call("samgrd", RESOLVE, {true, "node-c"_kj});
  entry = f.lastAudit();
  CHECK(entry.id == denied.auditId);
  CHECK(entry.peer == "node-c");
  CHECK(entry.operation == "resolve-status");
  CHECK(entry.verdict == CallStatus::DENIED);
  CHECK(f.audit.size() == 2);
  CHECK(f.observer.requests == 2);
  CHECK(f.observer.decisions.size() == 2);
}

TEST_CASE("with an empty table every operation of every service is denied and nothing is forwarded") {
  Fixture f{kj::Array<PolicyRule>(), 1000000, 1000000};
  for (auto service : {"samgrd"_kj, "bundlemgrd"_kj, "packagefsd"_kj, "statefsd"_kj}) {
    for (int op = 0; op < 256; op++) {
      for (size_t tail = 0; tail < 12; tail++) {
        auto frame = kj::heapArray<kj::byte>(4 + tail);
        memset(frame.begin(), 'x', frame.size());
        frame[0] = service[0] == 's' ? 'S' : 'B', frame[1] = service[0] == 's' ? 'M' : 'N';
        frame[2] = 1, frame[3] = static_cast<kj::byte>(op);
        if (tail > 0) frame[4] = static_cast<kj::byte>(tail - 1);
        auto status = f.call(service, frame).status;
        CHECK((status == CallStatus::DENIED || status == CallStatus::MALFORMED));
      }
    }
  }
  CHECK(f.call("samgrd", RESOLVE).status == CallStatus::DENIED);
  CHECK(f.call("bundlemgrd", LIST).status == CallStatus::DENIED);
  CHECK(f.calls.size() == 0);
}

TEST_CASE("with a table that names everything only the offered operations are ever forwarded") {
  kj::Vector<PolicyRule> rules;
  for (auto service : {"samgrd"_kj, "bundlemgrd"_kj}) {
    for (auto operation : {"register"_kj, "lookup"_kj, "ping-cap-move"_kj, "sender-pid"_kj, "sender-service-id"_kj,
                           "resolve-status"_kj, "list"_kj, "route-status"_kj, "fetch-image"_kj, "*"_kj}) {
      rules.add(PolicyRule{kj::str("node-a"), kj::str(service), kj::arr(kj::str(operation))});
    }
  }
  Fixture f{rules.releaseAsArray(), 1000000, 1000000};
  for (auto service : {"samgrd"_kj, "bundlemgrd"_kj}) {
    for (int op = 0; op < 256; op++) {
      for (size_t tail = 0; tail < 24; tail++) {
        auto frame = kj::heapArray<kj::byte>(4 + tail);
        memset(frame.begin(), 1, frame.size());
        frame[0] = service[0] == 's' ? 'S' : 'B', frame[1] = service[0] == 's' ? 'M' : 'N';
        frame[2] = 1, frame[3] = static_cast<kj::byte>(op);
        if (tail > 0) frame[4] = static_cast<kj::byte>(tail - 1);
        f.call(service, frame);
      }
    }
  }
  CHECK(f.calls.size() > 0);
  for (auto& frame : f.calls) {
    bool resolveStatus = frame[0] == 'S' && frame[3] == 6 && frame.size() == size_t(5) + frame[4];
    bool list = frame[0] == 'B' && frame[3] == 1 && frame.size() == 4;
    CHECK((resolveStatus || list));
  }
}

TEST_CASE("a dry run changes no answer; the records say what would have been otherwise, and which policy decided") {
  Fixture f;
  f.policy.setCandidate(policyOf({{"node-a"_kj, "bundlemgrd"_kj, "list"_kj}, {"node-a"_kj, "stream:x"_kj, "open"_kj}}));
  CHECK(f.call("samgrd", RESOLVE).status == CallStatus::OK);
  CHECK(f.lastAudit().policy.dryRun == DryRunVerdict::WOULD_DENY);
  CHECK(f.lastAudit().policy.generation == 1);
  CHECK(f.call("bundlemgrd", LIST).status != CallStatus::DENIED);
  CHECK(f.lastAudit().policy.dryRun == DryRunVerdict::SAME);
  CHECK_FALSE(f.proxy->mayOpenStream({true, "node-a"_kj}, "x").allowed);
  CHECK(f.lastAudit().policy.dryRun == DryRunVerdict::WOULD_ALLOW);
  CHECK(f.calls.size() == 2);
}

TEST_CASE("a candidate that names what is not offered to other nodes would allow nothing") {
  Fixture f;
  f.policy.setCandidate(policyOf({{"node-a"_kj, "samgrd"_kj, "lookup"_kj}}));
  auto lookup = kj::decodeHex("534d01020178"_kj);
  CHECK(f.call("samgrd", lookup).status != CallStatus::OK);
  CHECK(f.lastAudit().policy.dryRun == DryRunVerdict::SAME);
  CHECK(f.policy.counters().wouldAllow == 0);
}

TEST_CASE("a stream may be kept while a rule allows it, without a token or a record; then its refusal is a record") {
  Fixture f{policyOf({{"node-a"_kj, "stream:x"_kj, "open"_kj}}), 1, 1};
  RemoteCaller a{true, "node-a"_kj};
  for (int i = 0; i < 3; i++) CHECK(f.proxy->mayKeepStream(a, "x").allowed);
  CHECK(f.audit.lastId() == 0);
  f.policy.enforce(nullptr);
  auto gone = f.proxy->mayKeepStream(a, "x");
  CHECK_FALSE(gone.allowed);
  CHECK(gone.auditId == 1);
  CHECK(f.lastAudit().verdict == CallStatus::DENIED);
  CHECK(f.lastAudit().policy.generation == 2);
}

TEST_CASE("a stream of a service is let in and kept by the rule for service and operation, whatever the '#'") {
  auto name = "svc:bundlemgrd/fetch-image#7"_kj;
  RemoteCaller a{true, "node-a"_kj}, stranger{false, "node-a"_kj};
  {
    // No rule about a stream's name, of this node's own making or a peer's, stands for it.
    Fixture none{policyOf({{"node-a"_kj, "stream:svc:bundlemgrd/fetch-image#7"_kj, "open"_kj},
                           {"node-a"_kj, "bundlemgrd"_kj, "open"_kj},
                           {"node-b"_kj, "bundlemgrd"_kj, "fetch-image"_kj}})};
    CHECK_FALSE(none.proxy->mayOpenStream(a, name).allowed);
    CHECK(none.lastAudit().service == "bundlemgrd");
    CHECK(none.lastAudit().operation == "fetch-image");
    CHECK_FALSE(none.proxy->mayKeepStream(a, name).allowed);
  }

  Fixture f{policyOf({{"node-a"_kj, "bundlemgrd"_kj, "fetch-image"_kj}})};
  CHECK_FALSE(f.proxy->mayOpenStream(stranger, name).allowed);
  CHECK(f.proxy->mayOpenStream(a, name).served);
  CHECK(f.proxy->mayKeepStream(a, name).allowed);
  CHECK_FALSE(f.proxy->mayKeepStream(stranger, name).allowed);
  // Of another operation there are no streams: it is a name like any other.
  CHECK_FALSE(f.proxy->mayOpenStream(a, "svc:bundlemgrd/list").served);
  CHECK(f.lastAudit().service == "stream:svc:bundlemgrd/list");
  f.policy.enforce(nullptr);
  CHECK_FALSE(f.proxy->mayKeepStream(a, name).allowed);
  CHECK(f.lastAudit().service == "bundlemgrd");
  CHECK(f.lastAudit().verdict == CallStatus::DENIED);
}

TEST_CASE("a call that was let pass is answered although the policy changes while the service works on it") {
  Fixture f;
  auto answering = f.proxy->handle({true, "node-a"_kj}, "samgrd"_kj.asArray(), RESOLVE);
  f.policy.enforce(nullptr);
  CHECK(f.sim.run(kj::mv(answering)).status == CallStatus::OK);
  CHECK(f.lastAudit().policy.generation == 1);  // the one that decided
  CHECK(f.call("samgrd", RESOLVE).status == CallStatus::DENIED);
}

TEST_CASE("a stream may be opened by the peer and under the name that a rule names, and every decision is audited") {
  Fixture f{policyOf({{"node-a"_kj, "stream:app/sync"_kj, "open"_kj}, {"node-b"_kj, "app/sync"_kj, "open"_kj}}), 50, 4};
  RemoteCaller a{true, "node-a"_kj}, b{true, "node-b"_kj}, stranger{false, "node-a"_kj};
  auto decides = [&](const RemoteCaller& caller, kj::StringPtr name, CallStatus verdict) {
    CHECK(f.proxy->mayOpenStream(caller, name).allowed == (verdict == CallStatus::OK));
    f.audit.forEachAfter(f.audit.lastId() - 1, [&](const AuditEntry& entry) {
      CHECK(entry.peer == caller.name);
      CHECK(entry.service == kj::str("stream:", name));
      CHECK(entry.operation == "open");
      CHECK(entry.verdict == verdict);
    });
  };
  decides(a, "app/sync", CallStatus::OK);
  decides(a, "app/syn", CallStatus::DENIED);
  decides(a, "app/sync2", CallStatus::DENIED);
  decides(b, "app/sync", CallStatus::DENIED);
  decides(stranger, "app/sync", CallStatus::UNAUTHENTICATED);
  decides(a, "app/sync", CallStatus::OK);
  decides(a, "app/sync", CallStatus::RATE_LIMITED);
  CHECK(f.proxy->count(CallStatus::DENIED) == 3);
  CHECK(f.audit.size() == 7);
  // A rule about a stream lets no call pass.
  CHECK(f.call("stream:app/sync", RESOLVE, {true, "node-b"_kj}).status == CallStatus::DENIED);
}

TEST_CASE("a frame that does not parse is malformed, also when it is a frame of the other service") {
  Fixture f;
  CHECK(f.call("samgrd", LIST).status == CallStatus::MALFORMED);
  CHECK(f.call("bundlemgrd", RESOLVE).status == CallStatus::MALFORMED);
  CHECK(f.call("samgrd", nullptr).status == CallStatus::MALFORMED);
  CHECK(f.call("samgrd", RESOLVE.slice(0, RESOLVE.size() - 1)).status == CallStatus::MALFORMED);
  CHECK(f.call("samgrd", kj::decodeHex("534d020601"
                                       "61"_kj))
            .status == CallStatus::MALFORMED);
  CHECK(f.call("bundlemgrd", kj::decodeHex("424e010100"_kj)).status == CallStatus::MALFORMED);
  CHECK(f.calls.size() == 0);
  CHECK(f.proxy->count(CallStatus::MALFORMED) == 6);
}

TEST_CASE(
    "calls above the rate are refused, others of the peer and other peers are not affected for longer than that") {
  Fixture f{
      policyOf({{"node-a"_kj, "samgrd"_kj, "resolve-status"_kj}, {"node-b"_kj, "samgrd"_kj, "resolve-status"_kj}}), 50,
      100};
  for (int i = 0; i < 100; i++) CHECK(f.call("samgrd", RESOLVE).status == CallStatus::OK);
  auto refused = f.call("samgrd", RESOLVE);
  CHECK(refused.status == CallStatus::RATE_LIMITED);
  CHECK(refused.auditId == f.audit.lastId());
  CHECK(f.call("samgrd", RESOLVE, {true, "node-b"_kj}).status == CallStatus::OK);
  f.sim.advance(20 * kj::MILLISECONDS);
  CHECK(f.call("samgrd", RESOLVE).status == CallStatus::OK);
  CHECK(f.call("samgrd", RESOLVE).status == CallStatus::RATE_LIMITED);
  CHECK(f.calls.size() == 102);
}

TEST_CASE("a flood of calls that would be refused anyway meets the rate first and leaves one record more a second") {
  auto big = kj::heapArray<kj::byte>(257);
  memset(big.begin(), 0, big.size());
  auto registering = kj::decodeHex("534d01010100000000000000007a"_kj);
  struct {
    kj::StringPtr service;
    kj::ArrayPtr<const kj::byte> frame;
    CallStatus status;
  } floods[] = {{"policyd"_kj, RESOLVE, CallStatus::DENIED},
                {"samgrd"_kj, big, CallStatus::OVERSIZED},
                {"samgrd"_kj, LIST, CallStatus::MALFORMED},
                {"samgrd"_kj, registering, CallStatus::DENIED}};
  for (auto& flood : floods) {
    Fixture f;
    for (int i = 0; i < 100; i++) CHECK(f.call(flood.service, flood.frame).status == flood.status);
    for (int i = 0; i < 1000; i++) {
      auto refused = f.call(flood.service, flood.frame);
      CHECK(refused.status == CallStatus::RATE_LIMITED);
      CHECK(refused.auditId == 101);
    }
    CHECK(f.audit.size() == 101);
    CHECK(f.lastAudit().repeats == 999);
    CHECK(f.proxy->count(CallStatus::RATE_LIMITED) == 1000);
    // Who is not authenticated takes nobody's tokens.
    CHECK(f.call("samgrd", RESOLVE, {false, "node-b"_kj}).status == CallStatus::UNAUTHENTICATED);
    CHECK(f.rate.keyCount() == 1);
  }
}

TEST_CASE("a backend that fails and one that does not answer within two seconds are told apart") {
  Fixture f;
  f.samgr->mode = ScriptedBackend::Mode::THROW;
  CHECK(f.call("samgrd", RESOLVE).status == CallStatus::BACKEND_FAILED);
  CHECK(f.lastAudit().verdict == CallStatus::BACKEND_FAILED);

  f.samgr->mode = ScriptedBackend::Mode::HANG;
  auto before = f.sim.timer.now();
  CHECK(f.call("samgrd", RESOLVE).status == CallStatus::TIMED_OUT);
  CHECK(f.sim.timer.now() - before == RemoteProxy::BACKEND_DEADLINE);
  CHECK(f.lastAudit().verdict == CallStatus::TIMED_OUT);
  CHECK(f.audit.size() == 2);
}

TEST_CASE("a reply of more than 512 bytes is refused as that, whatever it is") {
  Fixture f;
  f.bundlemgr->reply = kj::heapArray<kj::byte>(513);
  auto reply = f.call("bundlemgrd", LIST);
  CHECK(reply.status == CallStatus::REPLY_OVERSIZED);
  CHECK(reply.reply.size() == 0);
  CHECK(f.lastAudit().verdict == CallStatus::REPLY_OVERSIZED);
}

TEST_CASE("a reply that is none to the operation does not cross: other length, magic or op, or slots in it") {
  Fixture f;
  for (auto hex : {""_kj, "424e018100020000"_kj,
                   "534d0186000000000000000000"
                   "00"_kj,
                   "534d01820000000000000000"
                   "00"_kj,
                   "534d01860001000000"
                   "00000000"_kj,
                   "534d018600"
                   "00000000"
                   "02000000"_kj}) {
    f.samgr->reply = kj::decodeHex(hex);
    auto reply = f.call("samgrd", RESOLVE);
    CHECK(reply.status == CallStatus::BACKEND_FAILED);
    CHECK(reply.reply.size() == 0);
  }
  f.bundlemgr->reply = kj::heapArray<kj::byte>(512);
  CHECK(f.call("bundlemgrd", LIST).status == CallStatus::BACKEND_FAILED);
}

TEST_CASE("a service without a backend here fails with a status") {
  SimClock sim;
  AuditLog audit(sim.timer);
  RateLimiter rate(50, 100);
  RemoteProxyObserver observer;
  LivePolicy policy(usualPolicy());
  RemoteProxy proxy(sim.timer, policy, rate, audit, observer, nullptr);
  CHECK(sim.run(proxy.handle({true, "node-a"_kj}, "samgrd"_kj.asArray(), RESOLVE)).status ==
        CallStatus::BACKEND_FAILED);
}

TEST_CASE("a call whose session ends before the answer still leaves its one record") {
  Fixture f;
  f.samgr->mode = ScriptedBackend::Mode::HANG;
  {
    auto promise = f.proxy->handle({true, "node-a"_kj}, "samgrd"_kj.asArray(), RESOLVE);
    CHECK_FALSE(promise.poll(f.sim.waitScope));
    CHECK(f.audit.size() == 0);
  }
  CHECK(f.audit.size() == 1);
  CHECK(f.lastAudit().verdict == CallStatus::CANCELLED);
  CHECK(f.lastAudit().operation == "resolve-status");
}

}  // namespace
}  // namespace nexus
