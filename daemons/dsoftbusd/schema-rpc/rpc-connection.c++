#include "daemons/dsoftbusd/schema-rpc/rpc-connection.h"

namespace nexus {

namespace {

using capnp::rpc::twoparty::Side;
using capnp::rpc::twoparty::VatId;

// A payload is walked and copied, and the message is larger than its payload.
capnp::ReaderOptions readerOptions(const RpcStreamLimits& limits) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 4 * limits.maxPayload / sizeof(capnp::word);
  options.nestingLimit = limits.nestingLimit;
  return options;
}

capnp::RpcSystem<VatId> makeSystem(capnp::TwoPartyVatNetwork& network, kj::Maybe<capnp::Capability::Client> service) {
  KJ_IF_MAYBE (s, service) return capnp::makeRpcServer(network, kj::mv(*s));
  return capnp::makeRpcClient(network);
}

capnp::Capability::Client askForRoot(capnp::RpcSystem<VatId>& rpc) {
  capnp::MallocMessageBuilder message(8);
  auto vatId = message.initRoot<VatId>();
  vatId.setSide(Side::SERVER);
  return rpc.bootstrap(vatId);
}

}  // namespace

RpcConnection::RpcConnection(kj::Own<kj::AsyncIoStream> s, RpcEnd end, kj::Maybe<capnp::Capability::Client> service,
                             const RpcStreamLimits& limits)
    : stream(kj::mv(s)),
      guard(*stream, end, limits.maxQuestions, limits.maxBacklog),
      network(guard, end == RpcEnd::SERVING ? Side::SERVER : Side::CLIENT, readerOptions(limits)),
      rpc(makeSystem(network, kj::mv(service))),
      untilEnd(network.onDisconnect().then([this] { ended = true; }).eagerlyEvaluate(nullptr)) {
  guard.watch(network);
  rpc.setFlowLimit(4 * limits.maxPayload / sizeof(capnp::word));
  if (end == RpcEnd::CALLING) root = askForRoot(rpc);
}

RpcConnection::~RpcConnection() noexcept(false) = default;

kj::Promise<capnp::Response<capnp::AnyPointer>> RpcConnection::call(uint64_t interfaceId, uint16_t methodId,
                                                                    capnp::AnyPointer::Reader params,
                                                                    capnp::MessageSize size) {
  auto request = KJ_ASSERT_NONNULL(root).typelessRequest(interfaceId, methodId, size, {});
  request.set(params);
  callsMade++;
  return request.send().dropPipeline();
}

size_t RpcConnection::unansweredCalls() {
  if (ended || guard.wasBroken()) return 0;
  // A call on a service that the peer refused makes no message, so what was made and not seen may never come.
  auto unwritten = kj::min(callsMade - guard.state().callsPassed(), network.getCurrentQueueCount());
  return guard.state().openCalls() + unwritten;
}

}  // namespace nexus
