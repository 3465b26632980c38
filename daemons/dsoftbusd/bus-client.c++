#include "daemons/dsoftbusd/bus-client.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/net-transport.h"
#include "daemons/dsoftbusd/session.h"

namespace nexus {

namespace {

class BusClientImpl final : public BusClient, public RequestHandler {
 public:
  BusClientImpl(HandshakeDone done, kj::Timer& timer, bool greet)
      : remote(kj::mv(done.peer)),
        session(kj::refcounted<Session>(kj::mv(done.channel), static_cast<RequestHandler&>(*this), timer, [] {})),
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

  kj::Promise<kj::String> whenEnded() override {
    return ended.addBranch().then([this] { return kj::str(why); });
  }

 private:
  PublicIdentity remote;
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
      co_return kj::Own<BusClient>(kj::heap<BusClientImpl>(kj::mv(done), timer, options.greet));
    }
  }
  KJ_UNREACHABLE;
}

}  // namespace nexus
