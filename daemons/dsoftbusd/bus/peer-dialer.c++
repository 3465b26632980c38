#include "daemons/dsoftbusd/bus/peer-dialer.h"

namespace nexus {

kj::Promise<HandshakeResult> PeerDialer::dial(PeerRoutes::Choice route, const PublicIdentity& target,
                                              kj::Duration connectTimeout, bool& denied,
                                              kj::Function<void()> onConnected) {
  return attempt(route, ExpectedPeer::of(target), connectTimeout, denied, kj::mv(onConnected))
      .catch_([](kj::Exception&& exception) -> HandshakeResult {
        return HandshakeFailure{HandshakeFailure::Kind::CLOSED, kj::str(exception.getDescription())};
      })
      .then([this](HandshakeResult&& result) {
        auto failure = result.tryGet<HandshakeFailure>();
        if (failure != nullptr && KJ_ASSERT_NONNULL(failure).kind == HandshakeFailure::Kind::BAD_IDENTITY) {
          context.audit.append(peer, "", "handshake", CallStatus::UNAUTHENTICATED, 0);
        }
        return kj::mv(result);
      });
}

kj::Promise<HandshakeResult> PeerDialer::attempt(PeerRoutes::Choice route, ExpectedPeer expected,
                                                 kj::Duration connectTimeout, bool& denied,
                                                 kj::Function<void()> onConnected) {
  auto tooLong = context.timer.afterDelay(connectTimeout).then([]() -> Transport::Dialed {
    return DialFailure{kj::str("no answer")};
  });
  auto dialled = co_await route.over.dial(route.to).exclusiveJoin(kj::mv(tooLong));
  KJ_SWITCH_ONEOF(dialled) {
    KJ_CASE_ONEOF(failure, DialFailure) {
      denied = failure.denied;
      co_return HandshakeFailure{HandshakeFailure::Kind::CLOSED, kj::str(route.to, ": ", failure.reason)};
    }
    KJ_CASE_ONEOF(stream, kj::Own<kj::AsyncIoStream>) {
      onConnected();
      context.observer.onConnection(peer, route.to.address, true);
      co_return co_await initiateHandshake(kj::mv(stream), context.own, kj::mv(expected), context.timer,
                                           context.entropy, context.limits.records);
    }
  }
  KJ_UNREACHABLE;
}

}  // namespace nexus
