#include "daemons/dsoftbusd/schema-rpc/rpc-export.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/schema-rpc/data-only.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-import.h"

namespace nexus {

namespace {

using Kind = kj::Exception::Type;
using Payload = capnp::AnyPointer;
using Context = capnp::CallContext<Payload, Payload>;
using Answer = capnp::Response<Payload>;

constexpr size_t MAX_REASON = 512;  // bytes of a service's own words that a caller gets

[[noreturn]] void fail(Kind kind, kj::String text) {
  kj::throwFatalException(kj::Exception(kind, __FILE__, __LINE__, kj::mv(text)));
}

}  // namespace

// The share of one stream in what its peer uses.
class RpcExporter::Place {
 public:
  Place(RpcExporter& exporter, kj::StringPtr peer) : exporter(exporter), peer(kj::str(peer)) { use().streams++; }
  ~Place() noexcept(false) {
    if (--use().streams == 0) exporter.peers.erase(peer);
  }
  KJ_DISALLOW_COPY_AND_MOVE(Place);

  kj::StringPtr peerName() const { return peer; }

  // Null: too many calls at once.
  kj::Maybe<kj::Own<void>> beginCall() {
    if (calls >= exporter.limits.maxCalls || use().calls >= exporter.limits.maxCallsOfPeer) return nullptr;
    calls++;
    use().calls++;
    return kj::attachVal(0, kj::defer([this] {
                           calls--;
                           use().calls--;
                         }));
  }

 private:
  RpcExporter& exporter;
  kj::String peer;
  kj::uint calls = 0;

  PeerUse& use() {
    return exporter.peers.findOrCreate(peer, [this] { return Peers::Entry{kj::str(peer), PeerUse()}; });
  }
  using Peers = kj::HashMap<kj::String, PeerUse>;
};

// ---- one service, for one stream of one peer

class RpcExporter::OfferedService final : public capnp::Capability::Server, public kj::Refcounted {
 public:
  OfferedService(RpcExporter& exporter, Offer& offer, kj::StringPtr peer)
      : exporter(exporter), offer(offer), place(exporter, peer) {}

  DispatchCallResult dispatchCall(uint64_t interfaceId, uint16_t methodId, Context context) override {
    return {serve(interfaceId, methodId, kj::mv(context)), false, true};
  }

 private:
  RpcExporter& exporter;
  Offer& offer;
  Place place;

  kj::Promise<void> serve(uint64_t interfaceId, uint16_t methodId, Context context) {
    auto params = context.getParams();
    auto payload = checkPayload(params, exporter.limits.maxPayload);
    auto busy = place.beginCall();
    auto admission = admit(interfaceId, methodId, payload, busy != nullptr);
    auto answer = co_await forward(interfaceId, methodId, context, payload.size, *admission);
    auto answered = checkPayload(answer, exporter.limits.maxPayload);
    if (answered.fault != PayloadFault::NONE) {
      exporter.counts.withheldAnswers++;
      bool large = answered.fault == PayloadFault::TOO_LARGE;
      auto id = admission->settle(large ? CallStatus::REPLY_OVERSIZED : CallStatus::BACKEND_FAILED);
      fail(Kind::FAILED, kj::str("the answer of ", from(id, kj::str(payloadFaultText(answered.fault)))));
    }
    admission->settle(CallStatus::OK);
    context.getResults(answered.size).set(answer);
  }

  // "rpc:notes at node-b WHAT; audit id 17 at node-b"
  kj::String from(uint64_t auditId, kj::String what) {
    return kj::str(offer.service.policyName(), " at ", exporter.nodeName, " ", what, "; audit id ", auditId, " at ",
                   exporter.nodeName);
  }

  // Returns only when the call may go on.
  kj::Own<RemoteProxy::Admission> admit(uint64_t interfaceId, uint16_t methodId, const PayloadCheck& payload,
                                        bool hasPlace) {
    auto fault = payload.fault;
    auto method = offer.service.find(interfaceId, methodId);
    auto name = method.map([](const RpcMethod& m) -> kj::StringPtr { return m.name; }).orDefault("(unknown)"_kj);
    auto found = CallStatus::OK;
    if (!hasPlace) {
      found = CallStatus::RATE_LIMITED;
      exporter.counts.refusedCalls++;
    } else if (method == nullptr || fault == PayloadFault::CAPABILITY || fault == PayloadFault::BROKEN) {
      found = CallStatus::MALFORMED;
    } else if (fault == PayloadFault::TOO_LARGE) {
      found = CallStatus::OVERSIZED;
    }
    auto admission = exporter.proxy.admitCall({true, place.peerName()}, offer.service.policyName(), name,
                                              payload.size.wordCount * sizeof(capnp::word), found);
    auto id = admission->auditId();
    switch (admission->verdict()) {
      case CallStatus::OK:
        return admission;
      case CallStatus::DENIED:
        fail(Kind::FAILED,
             kj::str("denied: no rule of ", exporter.nodeName, " allows ", name, " of ", offer.service.policyName(),
                     " to ", place.peerName(), "; audit id ", id, " at ", exporter.nodeName));
      case CallStatus::RATE_LIMITED:
        fail(Kind::OVERLOADED,
             kj::str(hasPlace ? "rate limited: " : "too many calls at once: ", from(id, kj::str("refuses this call"))));
      default:
        if (method == nullptr) fail(Kind::UNIMPLEMENTED, from(id, kj::str("has no such method")));
        fail(Kind::FAILED,
             kj::str("the call of ", name, " ", payloadFaultText(fault), "; audit id ", id, " at ", exporter.nodeName));
    }
  }

  // Sends at once, so that calls reach the service in their order.
  kj::Promise<Answer> forward(uint64_t interfaceId, uint16_t methodId, Context& context, capnp::MessageSize size,
                              RemoteProxy::Admission& admission) {
    auto sent = kj::evalNow([&]() -> kj::Promise<Answer> {
      auto request = offer.get().typelessRequest(interfaceId, methodId, size, {});
      request.set(context.getParams());
      context.releaseParams();
      return request.send().dropPipeline();
    });
    auto timedOut = exporter.timer.afterDelay(exporter.limits.serviceDeadline).then([this, &admission]() -> Answer {
      auto id = admission.settle(CallStatus::TIMED_OUT);
      fail(Kind::OVERLOADED, from(id, kj::str("did not answer in time")));
    });
    auto answered = sent.then([](Answer&& answer) { return kj::mv(answer); },
                              [this, &admission](kj::Exception&& exception) -> Answer {
                                auto id = admission.settle(CallStatus::BACKEND_FAILED);
                                auto words = printableText(exception.getDescription(), MAX_REASON);
                                fail(exception.getType(), from(id, kj::str("failed: ", words)));
                              });
    return answered.exclusiveJoin(kj::mv(timedOut));
  }
};

// ---- all of them

RpcExporter::RpcExporter(kj::Timer& timer, RemoteProxy& proxy, kj::StringPtr nodeName, kj::Array<Offer> offers,
                         const RpcStreamLimits& limits)
    : timer(timer), proxy(proxy), nodeName(kj::str(nodeName)), offers(kj::mv(offers)), limits(limits) {}

bool RpcExporter::isForCalls(kj::StringPtr streamName) {
  return streamName.startsWith(RPC_SERVICE_PREFIX);
}

MuxAdmission RpcExporter::mayOpen(const RemoteCaller& caller, kj::StringPtr streamName) {
  auto service = rpcServiceOfStream(streamName);
  auto name = service.map([](kj::String& s) { return kj::str(s); }).orDefault(kj::str(streamName));
  auto found = CallStatus::OK;
  if (service == nullptr || find(name) == nullptr) {
    found = CallStatus::DENIED;
  } else if (peers.find(caller.name).map([](PeerUse& use) { return use.streams; }).orDefault(0) >=
             limits.maxStreamsOfPeer) {
    found = CallStatus::RATE_LIMITED;
    counts.refusedStreams++;
  }
  auto decision = proxy.mayOpenCalls(caller, name, RPC_OPENING, found);
  return {decision.allowed, decision.auditId, true};
}

MuxAdmission RpcExporter::mayKeep(const RemoteCaller& caller, kj::StringPtr streamName) {
  auto service = KJ_ASSERT_NONNULL(rpcServiceOfStream(streamName));
  auto decision = proxy.mayKeepCalls(caller, service, RPC_OPENING);
  return {decision.allowed, decision.auditId, true};
}

kj::Promise<void> RpcExporter::serve(const RemoteCaller& caller, kj::StringPtr streamName,
                                     kj::Own<kj::AsyncIoStream> stream) {
  auto peer = kj::str(caller.name);
  auto service = KJ_ASSERT_NONNULL(rpcServiceOfStream(streamName));
  auto& offer = KJ_ASSERT_NONNULL(find(service));
  counts.streams++;
  RpcConnection connection(kj::mv(stream), RpcEnd::SERVING,
                           capnp::Capability::Client(kj::heap<OfferedService>(*this, offer, peer)), limits);
  // Whoever broke a rule and reads no more does not keep the stream.
  auto gaveUp = connection.whenBroken().then([this] { return timer.afterDelay(limits.abortTime); });
  co_await connection.whenEnded().exclusiveJoin(kj::mv(gaveUp)).catch_([](kj::Exception&&) {});
  if (connection.wasBroken()) {
    counts.brokenStreams++;
    KJ_LOG(WARNING, "a peer broke a rule of calls between nodes; its stream was ended", peer, service);
  }
}

kj::uint RpcExporter::callsOf(kj::StringPtr peer) const {
  return peers.find(peer).map([](const PeerUse& use) { return use.calls; }).orDefault(0);
}

kj::Maybe<RpcExporter::Offer&> RpcExporter::find(kj::StringPtr policyName) {
  for (auto& offer : offers) {
    if (offer.service.policyName() == policyName) return offer;
  }
  return nullptr;
}

}  // namespace nexus
