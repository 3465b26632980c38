#include "daemons/dsoftbusd/schema-rpc/rpc-import.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/schema-rpc/data-only.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-catalog.h"

namespace nexus {

namespace {

using Payload = capnp::AnyPointer;
using Context = capnp::CallContext<Payload, Payload>;
using Answer = capnp::Response<Payload>;

kj::Exception::Type kindOf(PayloadFault fault) {
  return fault == PayloadFault::TOO_LARGE ? kj::Exception::Type::OVERLOADED : kj::Exception::Type::FAILED;
}

void requireData(kj::StringPtr what, PayloadFault fault) {
  if (fault == PayloadFault::NONE) return;
  kj::throwFatalException(
      kj::Exception(kindOf(fault), __FILE__, __LINE__, kj::str(what, " ", payloadFaultText(fault))));
}

class RemoteService final : public capnp::Capability::Server {
 public:
  RemoteService(kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer, const RpcStreamLimits& limits)
      : timer(timer), limits(limits), connection(kj::mv(stream), RpcEnd::CALLING, nullptr, limits) {}

  DispatchCallResult dispatchCall(uint64_t interfaceId, uint16_t methodId, Context context) override {
    return {forward(interfaceId, methodId, kj::mv(context)), false, true};
  }

 private:
  kj::Timer& timer;
  RpcStreamLimits limits;
  RpcConnection connection;

  // Sends at once, so that calls arrive in their order.
  kj::Promise<void> forward(uint64_t interfaceId, uint16_t methodId, Context context) {
    auto params = context.getParams();
    requireData("the call", checkPayload(params, limits.maxPayload));
    // Calls that were given up count until the peer has said that it knows.
    if (connection.openQuestions() >= limits.maxCalls) {
      kj::throwFatalException(
          KJ_EXCEPTION(OVERLOADED, "too many calls on this service are unanswered", limits.maxCalls));
    }
    auto request = connection.service().typelessRequest(interfaceId, methodId, params.targetSize(), {});
    request.set(params);
    context.releaseParams();
    auto answer =
        co_await request.send().dropPipeline().exclusiveJoin(timer.afterDelay(limits.callDeadline).then([]() -> Answer {
          kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "the peer did not answer a call in time"));
        }));
    requireData("the peer's answer", checkPayload(answer, limits.maxPayload));
    context.getResults(answer.targetSize()).set(answer);
  }
};

}  // namespace

capnp::Capability::Client newRemoteService(kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer,
                                           const RpcStreamLimits& limits) {
  return kj::heap<RemoteService>(kj::mv(stream), timer, limits);
}

kj::Maybe<kj::String> rpcServiceOfStream(kj::StringPtr streamName) {
  if (!streamName.startsWith(RPC_SERVICE_PREFIX)) return nullptr;
  KJ_IF_MAYBE (hash, streamName.findFirst('#')) {
    if (isRpcServiceName(streamName.slice(RPC_SERVICE_PREFIX.size(), *hash))) {
      return kj::heapString(streamName.slice(0, *hash));
    }
  }
  return nullptr;
}

}  // namespace nexus
