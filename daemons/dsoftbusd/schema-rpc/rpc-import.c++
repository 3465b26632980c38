#include "daemons/dsoftbusd/schema-rpc/rpc-import.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/policy/audit-log.h"
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

// Its size.
capnp::MessageSize requireData(kj::StringPtr what, capnp::AnyPointer::Reader payload, size_t maxBytes) {
  auto check = checkPayload(payload, maxBytes);
  if (check.fault == PayloadFault::NONE) return check.size;
  kj::throwFatalException(
      kj::Exception(kindOf(check.fault), __FILE__, __LINE__, kj::str(what, " ", payloadFaultText(check.fault))));
}

// What a peer says about a failure goes to local programs, their terminals and logs: one line of printable text.
[[noreturn]] void failAsPeerSaid(const kj::Exception& exception) {
  kj::throwFatalException(kj::Exception(exception.getType(), __FILE__, __LINE__,
                                        printableText(exception.getDescription(), RPC_MAX_FAILURE_TEXT)));
}

class RemoteService final : public capnp::Capability::Server {
 public:
  RemoteService(kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer, kj::StringPtr peer, const RpcStreamLimits& limits)
      : timer(timer),
        limits(limits),
        peer(kj::str(peer)),
        connection(kj::mv(stream), RpcEnd::CALLING, nullptr, limits),
        untilBroken(connection.whenBroken().then([this] { noteBroken(); }).eagerlyEvaluate(nullptr)) {}

  DispatchCallResult dispatchCall(uint64_t interfaceId, uint16_t methodId, Context context) override {
    return {forward(interfaceId, methodId, kj::mv(context)), false, true};
  }

 private:
  kj::Timer& timer;
  RpcStreamLimits limits;
  kj::String peer;
  RpcConnection connection;
  kj::Promise<void> untilBroken;  // last: uses the rest

  void noteBroken() {
    KJ_LOG(WARNING, "a peer that serves calls broke a rule of calls between nodes; its stream was ended", peer);
  }

  // Sends at once, so that calls arrive in their order.
  kj::Promise<void> forward(uint64_t interfaceId, uint16_t methodId, Context context) {
    auto params = context.getParams();
    auto size = requireData("the call", params, limits.maxPayload);
    // Calls that were given up count until the peer has said that it knows.
    if (connection.unansweredCalls() >= limits.maxCalls) {
      kj::throwFatalException(
          KJ_EXCEPTION(OVERLOADED, "too many calls on this service are unanswered", limits.maxCalls));
    }
    auto answered =
        connection.call(interfaceId, methodId, params, size).catch_([](kj::Exception&& exception) -> Answer {
          failAsPeerSaid(exception);
        });
    context.releaseParams();
    auto tooLate = timer.afterDelay(limits.callDeadline).then([]() -> Answer {
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "the peer did not answer a call in time"));
    });
    auto answer = co_await answered.exclusiveJoin(kj::mv(tooLate));
    auto answerSize = requireData("the peer's answer", answer, limits.maxPayload);
    context.getResults(answerSize).set(answer);
  }
};

}  // namespace

capnp::Capability::Client newRemoteService(kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer, kj::StringPtr peer,
                                           const RpcStreamLimits& limits) {
  return kj::heap<RemoteService>(kj::mv(stream), timer, peer, limits);
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
