#include "libs/nexus-net-os/rpc/cap-transport.h"

#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>
#include <sys/socket.h>

#include "libs/nexus-net-os/rpc/known-kinds.h"

namespace nexus {

namespace {

capnp::ReaderOptions readerOptions(const RpcLimits& limits) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = limits.traversalLimitWords;
  options.nestingLimit = limits.nestingLimit;
  return options;
}

PeerCredentials peerCredentials(kj::AsyncCapabilityStream& stream) {
  ucred credentials{};
  kj::uint length = sizeof(credentials);
  try {
    stream.getsockopt(SOL_SOCKET, SO_PEERCRED, &credentials, &length);
  } catch (const kj::Exception&) {
    return {};  // an in-memory pipe has no kernel to vouch for it
  }
  return {credentials.pid, static_cast<int>(credentials.uid)};
}

}  // namespace

CapServer::CapServer(Factory factory, const RpcLimits& limits)
    : factory(kj::mv(factory)), limits(limits), tasks(*this) {}

void CapServer::accept(kj::Own<kj::AsyncCapabilityStream> connection) {
  if (connections >= limits.maxConnections) {
    refused++;
    KJ_LOG(WARNING, "connection refused: too many", limits.maxConnections, refused);
    return;
  }
  tasks.add(serve(kj::mv(connection)));
}

kj::Promise<void> CapServer::serve(kj::Own<kj::AsyncCapabilityStream> connection) {
  connections++;
  KJ_DEFER(connections--);
  KnownKindStream messages(*connection);
  capnp::TwoPartyVatNetwork network(messages, limits.maxFdsPerMessage, capnp::rpc::twoparty::Side::SERVER,
                                    readerOptions(limits));
  auto rpc = capnp::makeRpcServer(network, factory(peerCredentials(*connection)));
  rpc.setFlowLimit(limits.flowLimitBytes / sizeof(capnp::word));
  co_await network.onDisconnect();
}

kj::Promise<void> CapServer::listenLoop(kj::Own<kj::ConnectionReceiver> listener) {
  for (;;) {
    auto stream = co_await listener->accept();
    accept(stream.downcast<kj::AsyncCapabilityStream>());
  }
}

void CapServer::taskFailed(kj::Exception&& exception) {
  if (exception.getType() != kj::Exception::Type::DISCONNECTED)
    KJ_LOG(WARNING, "connection ended", exception.getDescription());
}

struct CapConnection::Impl {
  kj::Own<kj::AsyncCapabilityStream> stream;
  KnownKindStream messages;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
  // Asked for once. An RpcSystem that has lost its connection would make a second one over the stream that is already
  // shut down, and fail where no exception may leave; this reference only fails its calls.
  capnp::Capability::Client root;

  Impl(kj::Own<kj::AsyncCapabilityStream> s, const RpcLimits& limits)
      : stream(kj::mv(s)),
        messages(*stream),
        network(messages, limits.maxFdsPerMessage, capnp::rpc::twoparty::Side::CLIENT, readerOptions(limits)),
        rpc(capnp::makeRpcClient(network)),
        root(askForRoot(rpc)) {}

  static capnp::Capability::Client askForRoot(capnp::RpcSystem<capnp::rpc::twoparty::VatId>& rpc) {
    capnp::MallocMessageBuilder message(8);
    auto vatId = message.initRoot<capnp::rpc::twoparty::VatId>();
    vatId.setSide(capnp::rpc::twoparty::Side::SERVER);
    return rpc.bootstrap(vatId);
  }
};

CapConnection::CapConnection(kj::Own<kj::AsyncCapabilityStream> stream, const RpcLimits& limits)
    : impl(kj::heap<Impl>(kj::mv(stream), limits)) {}

CapConnection::~CapConnection() noexcept(false) = default;

capnp::Capability::Client CapConnection::bootstrap() {
  return impl->root;
}

kj::Promise<void> CapConnection::onDisconnect() {
  return impl->network.onDisconnect();
}

}  // namespace nexus
