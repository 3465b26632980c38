#include "daemons/dsoftbusd/bus/bus-client.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/session/session.h"
#include "daemons/dsoftbusd/transport/net-transport.h"

namespace nexus {

namespace {

class BusClientImpl final : public BusClient, public RequestHandler {
 public:
  BusClientImpl(HandshakeDone done, kj::Timer& timer, bool greet)
      : remote(kj::mv(done.peer)),
        session(kj::refcounted<Session>(kj::mv(done.channel), MuxRole::INITIATOR, static_cast<RequestHandler&>(*this),
                                        timer, [this] { live.fire(); })),
        ended(session->run(greet).then([this](SessionEnd&& end) { why = kj::mv(end.why); }).fork()) {}

  kj::Promise<kj::Array<kj::byte>> ping(kj::ArrayPtr<const kj::byte> payload) override {
    return session->ping(payload);
  }

  kj::Promise<Reply> call(kj::StringPtr service, kj::ArrayPtr<const kj::byte> frame) override {
    return session->call(service, frame).then([](RemoteReply&& reply) {
      return Reply{reply.status, reply.auditId, kj::mv(reply.reply)};
    });
  }

  const PublicIdentity& peer() const override { return remote; }

  // Null once the session is live; else why it is not.
  kj::Promise<kj::Maybe<kj::String>> whenLiveOrEnded(kj::Timer& timer) {
    auto alive = live.wait().then([]() -> kj::Maybe<kj::String> { return nullptr; });
    auto over = whenEnded().then([](kj::String reason) -> kj::Maybe<kj::String> { return kj::mv(reason); });
    auto late = timer.afterDelay(HANDSHAKE_DEADLINE).then([]() -> kj::Maybe<kj::String> {
      return kj::str("the peer did not answer a ping in time");
    });
    return alive.exclusiveJoin(kj::mv(over)).exclusiveJoin(kj::mv(late));
  }

  kj::Promise<kj::String> whenEnded() override {
    return ended.addBranch().then([this] { return kj::str(why); });
  }

 private:
  PublicIdentity remote;
  Signal live;
  kj::Own<Session> session;
  kj::String why;
  kj::ForkedPromise<void> ended;  // last: runs the session

  // A client is no node: it serves nothing.
  kj::Promise<RemoteReply> handle(kj::ArrayPtr<const char>, kj::ArrayPtr<const kj::byte>) override {
    return RemoteReply{CallStatus::DENIED, 0, nullptr};
  }
};

}  // namespace

kj::Promise<BusClient::Connected> BusClient::connect(idl::NetworkManager::Client net, SocketAddress remote,
                                                     const DeviceIdentity& own, ExpectedPeer peer, kj::Timer& timer,
                                                     Entropy& entropy, Options options) {
  auto transport = newNetTransport(kj::mv(net));
  auto dialled = co_await transport->dial(remote);
  if (dialled.is<DialFailure>()) co_return Failure{kj::mv(dialled.get<DialFailure>().reason)};
  auto result =
      co_await initiateHandshake(kj::mv(dialled.get<kj::Own<kj::AsyncIoStream>>()), own, kj::mv(peer), timer, entropy);
  KJ_SWITCH_ONEOF(result) {
    KJ_CASE_ONEOF(failure, HandshakeFailure) {
      co_return Failure{kj::mv(failure.what)};
    }
    KJ_CASE_ONEOF(done, HandshakeDone) {
      auto client = kj::heap<BusClientImpl>(kj::mv(done), timer, options.greet);
      if (options.greet) {
        KJ_IF_MAYBE (reason, co_await client->whenLiveOrEnded(timer)) co_return Failure{kj::mv(*reason)};
      }
      co_return kj::Own<BusClient>(kj::mv(client));
    }
  }
  KJ_UNREACHABLE;
}

}  // namespace nexus
