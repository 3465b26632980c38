#include "daemons/dsoftbusd/server/dsoftbus-server.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/policy/policy-state.h"
#include "daemons/dsoftbusd/resume/stream-registration-server.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-import.h"
#include "daemons/dsoftbusd/server/mux-stream-server.h"
#include "daemons/dsoftbusd/server/peer-report.h"
#include "daemons/dsoftbusd/server/stream-report.h"

namespace nexus {

namespace {

void checkStreamArguments(kj::StringPtr name, kj::byte priority) {
  KJ_REQUIRE(isMuxStreamName(name.asArray()), "the name of a stream has 1 to 64 visible ASCII characters");
  KJ_REQUIRE(!RpcExporter::isForCalls(name), "streams for calls are opened by rpc()", name);
  KJ_REQUIRE(priority < MUX_PRIORITIES, "the priority is 0 to 7", priority);
}

class PeerSessionImpl final : public idl::PeerSession::Server {
 public:
  // place: among the sessions of the client.
  PeerSessionImpl(kj::Own<void> place, kj::Own<Session> session, kj::Timer& timer, kj::StringPtr name,
                  kj::StringPtr deviceId)
      : place(kj::mv(place)),
        session(kj::mv(session)),
        timer(timer),
        name(kj::str(name)),
        deviceId(kj::str(deviceId)) {}

  kj::Promise<void> ping(PingContext context) override {
    auto started = timer.now();
    auto payload = co_await session->ping(context.getParams().getPayload());
    auto results = context.getResults();
    results.setPayload(payload);
    results.setRoundTripUs((timer.now() - started) / kj::MICROSECONDS);
  }

  kj::Promise<void> call(CallContext context) override {
    auto params = context.getParams();
    auto service = params.getService();
    KJ_REQUIRE(service.size() > 0 && service.size() <= MAX_SERVICE_NAME, "a service name has 1 to 64 bytes",
               service.size());
    if (params.getFrame().size() > MAX_CALL_FRAME) {
      context.getResults().setStatus(CallStatus::OVERSIZED);  // refused here: there is no audit record at the peer
      co_return;
    }
    auto reply = co_await session->call(service.asArray(), params.getFrame());
    auto results = context.getResults();
    results.setStatus(reply.status);
    results.setAuditId(reply.auditId);
    results.setReply(reply.reply);
  }

  kj::Promise<void> peer(PeerContext context) override {
    context.getResults().setName(name);
    context.getResults().setDeviceId(deviceId);
    return kj::READY_NOW;
  }

  kj::Promise<void> openStream(OpenStreamContext context) override {
    auto params = context.getParams();
    checkStreamArguments(params.getName(), params.getPriority());
    auto opened = session->mux().open(params.getName(), params.getPriority());
    KJ_SWITCH_ONEOF(opened) {
      KJ_CASE_ONEOF(reject, MuxReject) {
        bool taken = reject == MuxReject::DUPLICATE_STREAM_NAME;
        context.getResults().setOutcome(taken ? StreamOutcome::DUPLICATE_NAME : StreamOutcome::TOO_MANY_STREAMS);
      }
      KJ_CASE_ONEOF(stream, kj::Own<MuxStream>) {
        auto refused = co_await stream->whenTaken();
        KJ_IF_MAYBE (reason, refused) {
          context.getResults().setOutcome(streamOutcome(*reason));
          context.getResults().setAuditId(stream->resetAuditId());
        } else {
          context.getResults().setStream(newMuxStreamServer(kj::mv(stream)));
        }
      }
    }
  }

  kj::Promise<void> rpc(RpcContext context) override {
    auto params = context.getParams();
    auto service = params.getService();
    KJ_REQUIRE(isRpcServiceName(service.asArray()),
               "the name of a service has 1 to 40 characters of a-z, 0-9, '-', '.', '_'", service);
    auto name = session->mux().uniqueName(kj::str(RPC_SERVICE_PREFIX, service));
    auto opened = session->mux().open(name, params.getPriority());
    KJ_IF_MAYBE (stream, opened.tryGet<kj::Own<MuxStream>>()) {
      auto refused = co_await (*stream)->whenTaken();
      KJ_IF_MAYBE (reason, refused) {
        context.getResults().setOutcome(streamOutcome(*reason));
        context.getResults().setAuditId((*stream)->resetAuditId());
      } else {
        context.getResults().setService(newRemoteService(kj::mv(*stream), timer, this->name));
      }
    } else {
      context.getResults().setOutcome(StreamOutcome::TOO_MANY_STREAMS);
    }
  }

  kj::Promise<void> acceptStream(AcceptStreamContext context) override {
    auto stream = co_await session->mux().accept();
    auto results = context.getResults();
    results.setName(stream->name());
    results.setPriority(stream->priority());
    results.setStream(newMuxStreamServer(kj::mv(stream)));
  }

 private:
  using StreamOutcome = idl::PeerSession::StreamOutcome;

  kj::Own<void> place;
  kj::Own<Session> session;
  kj::Timer& timer;
  kj::String name, deviceId;
};

void fillRecord(idl::AuditRecord::Builder out, const AuditEntry& entry) {
  out.setId(entry.id);
  out.setTimeMs((entry.time - kj::origin<kj::TimePoint>()) / kj::MILLISECONDS);
  out.setPeer(entry.peer);
  out.setService(entry.service);
  out.setOperation(entry.operation);
  out.setVerdict(entry.verdict);
  out.setRequestBytes(entry.requestBytes);
  out.setRepeats(entry.repeats);
  out.setPolicyGeneration(entry.policy.generation);
  out.setDryRun(entry.policy.dryRun);
  out.setChange(entry.change);
  out.setUtcMs((entry.utc - kj::UNIX_EPOCH) / kj::MILLISECONDS);
}

class DSoftBusImpl final : public idl::DSoftBus::Server {
 public:
  DSoftBusImpl(Bus& bus, Discovery& discovery, AuditLog& audit, kj::Timer& timer, kj::Function<PolicyTable()> policy,
               kj::Own<ClientTotals> totals)
      : bus(bus),
        discovery(discovery),
        log(audit),
        timer(timer),
        currentPolicy(kj::mv(policy)),
        places(kj::refcounted<ClientPlaces>(kj::mv(totals))) {}

  kj::Promise<void> peers(PeersContext context) override {
    auto known = context.getParams().getKnown();
    auto place = wait();
    while (generation() == known) co_await whenChanged();
    auto results = context.getResults();
    results.setGeneration(generation());
    reportPeers(bus, discovery, timer.now(), results);
  }

  kj::Promise<void> session(SessionContext context) override {
    auto name = kj::str(context.getParams().getPeer());
    auto place = wait();
    auto maybeLink = bus.findLink(name);
    KJ_IF_MAYBE (found, maybeLink) {
      auto link = kj::addRef(*found);  // its peer may be revoked meanwhile
      for (;;) {
        KJ_IF_MAYBE (session, link->session()) {
          context.getResults().setSession(kj::heap<PeerSessionImpl>(places->takeSession(), kj::mv(*session), timer,
                                                                    link->peer().name, link->knownAs().deviceId));
          co_return;
        }
        if (link->isRevoked() || link->state() == idl::SessionState::REFUSED) {
          context.getResults().setOutcome(idl::DSoftBus::Outcome::NOT_TRUSTED);
          co_return;
        }
        if (link->isDenied()) {
          context.getResults().setOutcome(idl::DSoftBus::Outcome::UNREACHABLE);
          co_return;
        }
        co_await link->whenChanged();
      }
    }
    context.getResults().setOutcome(whyNoLink(name));
  }

  kj::Promise<void> registerStream(RegisterStreamContext context) override {
    auto params = context.getParams();
    checkStreamArguments(params.getName(), params.getPriority());
    auto link = bus.findLink(params.getPeer());
    KJ_IF_MAYBE (l, link) {
      auto place = places->takeRegistration();
      auto registration = kj::heap<StreamRegistration>(kj::addRef(*l), params.getName(), params.getPriority(), timer,
                                                       kj::addRef(places->all()));
      context.getResults().setRegistration(newStreamRegistrationServer(kj::mv(registration), kj::mv(place)));
    } else {
      context.getResults().setOutcome(whyNoLink(params.getPeer()));
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> audit(AuditContext context) override {
    kj::Vector<const AuditEntry*> entries;
    log.forEachAfter(context.getParams().getAfter(), [&](const AuditEntry& entry) { entries.add(&entry); });
    auto results = context.getResults();
    auto list = results.initRecords(entries.size());
    for (auto i : kj::indices(entries)) {
      fillRecord(list[i], *entries[i]);
    }
    results.setDropped(log.droppedCount());
    results.setBoot(log.boot());
    return kj::READY_NOW;
  }

  kj::Promise<void> explain(ExplainContext context) override {
    auto params = context.getParams();
    for (auto text : {params.getPeer(), params.getService(), params.getOperation()}) {
      KJ_REQUIRE(text.size() <= MAX_QUESTION_TEXT, "a text of the question is too long", text.size());
    }
    auto policy = currentPolicy();
    explainPolicy(policy, {params.getPeer(), params.getService(), params.getOperation()})
        .toIdl(policy, context.getResults().initExplanation());
    return kj::READY_NOW;
  }

  kj::Promise<void> policy(PolicyContext context) override {
    fillPolicyState(currentPolicy(), context.getResults().initState());
    return kj::READY_NOW;
  }

  kj::Promise<void> streams(StreamsContext context) override {
    auto peer = context.getParams().getPeer();
    auto link = bus.findLink(peer);
    KJ_IF_MAYBE (l, link) {
      auto session = l->session();
      KJ_IF_MAYBE (s, session) {
        context.getResults().setName(l->peer().name);
        reportStreams((*s)->mux().core(), context.getResults());
      } else {
        context.getResults().setOutcome(idl::DSoftBus::Outcome::UNREACHABLE);
      }
    } else {
      context.getResults().setOutcome(whyNoLink(peer));
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> explainAudit(ExplainAuditContext context) override {
    using Outcome = idl::DSoftBus::AuditOutcome;
    auto id = context.getParams().getAuditId();
    auto results = context.getResults();
    auto policy = currentPolicy();
    results.setOutcome(id == 0 || id > log.lastId() ? Outcome::NEVER_GIVEN : Outcome::DROPPED);
    log.forEachAfter(id == 0 ? 0 : id - 1, [&](const AuditEntry& entry) {
      if (entry.id != id) return;
      results.setOutcome(Outcome::OK);
      fillRecord(results.initRecord(), entry);
      explainDecision(policy, entry).toIdl(policy, results.initExplanation());
    });
    return kj::READY_NOW;
  }

 private:
  Bus& bus;
  Discovery& discovery;
  AuditLog& log;
  kj::Timer& timer;
  kj::Function<PolicyTable()> currentPolicy;
  kj::Own<ClientPlaces> places;
  kj::uint waiting = 0;

  idl::DSoftBus::Outcome whyNoLink(kj::StringPtr peer) {
    bool heard = discovery.peers().peek(peer) != nullptr || discovery.ignored().find(peer) != nullptr;
    return heard ? idl::DSoftBus::Outcome::NOT_TRUSTED : idl::DSoftBus::Outcome::UNKNOWN_PEER;
  }

  // A place among the calls that may wait; given back when the call ends or is cancelled.
  kj::Own<void> wait() {
    if (waiting >= MAX_WAITING_CALLS) {
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many calls of this client wait", MAX_WAITING_CALLS));
    }
    waiting++;
    return kj::attachVal(0, kj::defer([this] { waiting--; }));
  }

  // One number for the table and all links; never 0.
  uint32_t generation() {
    uint32_t sum = discovery.generation() + bus.generation();
    return sum == 0 ? 1 : sum;
  }

  kj::Promise<void> whenChanged() { return discovery.whenChanged().exclusiveJoin(bus.whenChanged()); }
};

}  // namespace

idl::DSoftBus::Client newDSoftBusServer(Bus& bus, Discovery& discovery, AuditLog& audit, kj::Timer& timer,
                                        kj::Function<PolicyTable()> policy, kj::Own<ClientTotals> totals) {
  return kj::heap<DSoftBusImpl>(bus, discovery, audit, timer, kj::mv(policy), kj::mv(totals));
}

}  // namespace nexus
