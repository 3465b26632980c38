#include "libs/nexus-net-os/rpc/cap-reconnect.h"

#include <kj/debug.h>

namespace nexus {

struct CapReconnect::Session {
  kj::Maybe<kj::Own<CapConnection>> connection;
  bool ended = false;
  kj::ForkedPromise<void> connected;
  kj::ForkedPromise<void> lost;

  Session(kj::Promise<kj::Own<kj::AsyncCapabilityStream>> stream, const RpcLimits& limits)
      : connected(stream
                      .then([this, limits](kj::Own<kj::AsyncCapabilityStream> s) {
                        connection = kj::heap<CapConnection>(kj::mv(s), limits);
                      })
                      .fork()),
        lost(waitLost().fork()) {}

  kj::Promise<void> waitLost() {
    KJ_DEFER(ended = true);
    co_await connected.addBranch();
    co_await KJ_ASSERT_NONNULL(connection)->onDisconnect();
  }

  capnp::Capability::Client bootstrap() {
    KJ_IF_MAYBE (c, connection) return (*c)->bootstrap();
    return connected.addBranch().then([this] { return KJ_ASSERT_NONNULL(connection)->bootstrap(); });
  }
};

CapReconnect::CapReconnect(Connect connect, const RpcLimits& limits) : connect(kj::mv(connect)), limits(limits) {}

CapReconnect::~CapReconnect() noexcept(false) = default;

capnp::Capability::Client CapReconnect::current() {
  KJ_IF_MAYBE (s, session) {
    if (!(*s)->ended) return (*s)->bootstrap();
  }
  connects++;
  return session.emplace(kj::heap<Session>(connect(), limits))->bootstrap();
}

kj::Promise<void> CapReconnect::whenLost() {
  KJ_IF_MAYBE (s, session) {
    // A connection that could not be made is lost too.
    return (*s)->lost.addBranch().catch_([](kj::Exception&&) {});
  }
  return kj::READY_NOW;
}

CapReconnect::Connect unixConnector(kj::Network& network, kj::StringPtr path) {
  return [&network, path = kj::str("unix:", path)]() {
    return network.parseAddress(path)
        .then([](kj::Own<kj::NetworkAddress> address) { return address->connect().attach(kj::mv(address)); })
        .then([](kj::Own<kj::AsyncIoStream> stream) { return stream.downcast<kj::AsyncCapabilityStream>(); });
  };
}

}  // namespace nexus
