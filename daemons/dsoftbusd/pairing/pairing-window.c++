#include "daemons/dsoftbusd/pairing/pairing-window.h"

#include <kj/debug.h>

namespace nexus {

using Outcome = idl::PairOutcome;
using Role = PairingExchange::Role;

PairingWindow::PairingWindow(PairingContext& context, PairingRequest wanted, kj::Function<void()> onClosed)
    : context(context), request(kj::mv(wanted)), onClosed(kj::mv(onClosed)), tasks(*this) {
  tasks.add(closeInTime());
  if (request.peer.size() > 0) tasks.add(dialLoop().exclusiveJoin(closed.wait()));
}

PairingWindow::~PairingWindow() noexcept(false) {
  if (end == nullptr) {
    context.host.note(request.name, candidate.map([](Shown& c) -> const PublicIdentity& { return c.peer; }),
                      Outcome::REFUSED_HERE);
  }
  onClosed();
}

kj::Promise<void> PairingWindow::closeInTime() {
  co_await context.timer.afterDelay(request.length);
  close(Outcome::TIMED_OUT,
        ownSent ? kj::str("the other node did not say in time whether the digits are the same: nothing is "
                          "stored here, and perhaps something there (unpair it there)")
        : candidate != nullptr   ? kj::str("nobody said in time whether the digits are the same")
        : lastFailure.size() > 0 ? kj::str(lastFailure)
                                 : kj::str("no other node came to pair"));
}

// ---- connections

kj::Promise<void> PairingWindow::dialLoop() {
  for (;;) {
    if (!talking) {
      auto maybeRoute = context.host.findRoute(request.peer);
      KJ_IF_MAYBE (route, maybeRoute) {
        co_await dialOnce(*route);
      } else {
        lastFailure = kj::str(request.peer, " is not heard, or this node has no network");
      }
    }
    // By chance, so that two nodes that dial each other do not miss each other for ever.
    uint32_t chance;
    context.entropy.fill(kj::arrayPtr(reinterpret_cast<kj::byte*>(&chance), sizeof(chance)));
    auto spread = (context.limits.longestRetry - context.limits.shortestRetry) / kj::MILLISECONDS;
    co_await context.timer.afterDelay(context.limits.shortestRetry + chance % spread * kj::MILLISECONDS);
  }
}

kj::Promise<void> PairingWindow::dialOnce(PairingHost::Route route) {
  auto to = route.to;
  auto dialled =
      co_await kj::evalNow([&] {
        return route.over.dial(to);
      }).catch_([](kj::Exception&& e) -> Transport::Dialed {
          return DialFailure{kj::str(e.getDescription())};
        }).exclusiveJoin(context.timer.afterDelay(context.limits.connect).then([]() -> Transport::Dialed {
        return DialFailure{kj::str("no answer")};
      }));
  KJ_SWITCH_ONEOF(dialled) {
    KJ_CASE_ONEOF(failure, DialFailure) {
      lastFailure = kj::str(to, ": ", failure.reason);
    }
    KJ_CASE_ONEOF(stream, kj::Own<kj::AsyncIoStream>) {
      if (!talking) co_await converse(kj::mv(stream), Role::INITIATOR, to);
    }
  }
}

void PairingWindow::take(kj::Own<kj::AsyncIoStream> stream, SocketAddress remote) {
  KJ_REQUIRE(isWaiting());
  tasks.add(converse(kj::mv(stream), Role::RESPONDER, remote).exclusiveJoin(closed.wait()));
}

// One connection, from its first byte to the end of it or of the window.
kj::Promise<void> PairingWindow::converse(kj::Own<kj::AsyncIoStream> stream, Role role, SocketAddress remote) {
  talking = true;
  KJ_DEFER(talking = false);
  PairingExchange exchange(role, context.own, context.entropy);
  auto problem =
      co_await introduce(*stream, exchange, role)
          .catch_([](kj::Exception&& e) -> Problem { return kj::str("the connection failed: ", e.getDescription()); })
          .exclusiveJoin(context.timer.afterDelay(context.limits.exchange).then([]() -> Problem {
            return kj::str("the other node took too long");
          }));
  KJ_IF_MAYBE (why, problem) {
    noteFailure(role, kj::str(remote, ": ", *why));
    // Or the other end could begin anew until the digits are the ones it wants.
    if (exchange.nonceIsOut()) close(Outcome::FAILED, kj::str(lastFailure, ", when only the digits were missing"));
    co_return;
  }
  problem = unwanted(exchange.peer());
  KJ_IF_MAYBE (why, problem) {
    noteFailure(role, kj::str(remote, ": ", *why));
    co_return;
  }
  if (end != nullptr) co_return;
  candidate = Shown{kj::str(KJ_ASSERT_NONNULL(exchange.code())), exchange.peer().clone(), remote};
  changed.fire();
  co_await listen(*stream, exchange).exclusiveJoin(speak(*stream, exchange));
}

kj::Promise<PairingWindow::Problem> PairingWindow::introduce(kj::AsyncIoStream& stream, PairingExchange& exchange,
                                                             Role role) {
  if (role == Role::INITIATOR) co_await stream.write(PAIRING_MAGIC.begin(), PAIRING_MAGIC_BYTES);
  while (exchange.code() == nullptr) {
    auto frame = exchange.nextFrame();
    if (exchange.isDead()) co_return kj::str("the other node's key is no key");
    KJ_IF_MAYBE (f, frame) {
      co_await stream.write(f->begin(), f->size());
    } else {
      auto problem = co_await readFrame(stream, exchange);
      KJ_IF_MAYBE (why, problem) co_return kj::mv(*why);
    }
  }
  co_return nullptr;
}

// The next frame. Its length is that of the step, or it is not waited for.
kj::Promise<PairingWindow::Problem> PairingWindow::readFrame(kj::AsyncIoStream& stream, PairingExchange& exchange) {
  auto expected = KJ_ASSERT_NONNULL(exchange.expectedBytes());
  kj::byte bytes[PAIRING_MAX_FRAME];
  static_assert(sizeof(bytes) > 4);
  if (co_await stream.tryRead(bytes, 4, 4) < 4) co_return kj::str("the other node broke off");
  size_t length = size_t(bytes[0]) << 24 | size_t(bytes[1]) << 16 | size_t(bytes[2]) << 8 | bytes[3];
  if (length != expected) co_return kj::str("the other node sent ", PairingError::BAD_LENGTH);
  if (co_await stream.tryRead(bytes, length, length) < length) co_return kj::str("the other node broke off");
  auto error = exchange.take(kj::arrayPtr(bytes, length));
  KJ_IF_MAYBE (e, error) co_return kj::str("the other node sent ", *e);
  co_return nullptr;
}

PairingWindow::Problem PairingWindow::unwanted(const PublicIdentity& peer) {
  if (!peer.deviceId.startsWith(request.deviceIdPrefix)) {
    return kj::str("another device than the one to pair with: ", peer.deviceId);
  }
  auto obstacle = context.host.obstacle(request.name, peer);
  KJ_IF_MAYBE (o, obstacle) {
    if (*o == Outcome::ALREADY_TRUSTED) return kj::str("that device is trusted already, under another name");
    return kj::str("that device cannot be added to the trust table");
  }
  return nullptr;
}

void PairingWindow::noteFailure(Role role, kj::StringPtr why) {
  lastFailure = kj::str(why);
  KJ_LOG(INFO, "pairing: a connection came to nothing", why);
  // A dial is ours, and the window bounds how many there are.
  if (role == Role::RESPONDER && ++failures > context.limits.failures) {
    close(Outcome::FAILED, kj::str("too many connections that came to nothing; the last: ", why));
  }
}

// ---- the two decisions

kj::Promise<void> PairingWindow::listen(kj::AsyncIoStream& stream, PairingExchange& exchange) {
  auto problem = co_await readFrame(stream, exchange).catch_([](kj::Exception&& e) -> Problem {
    return kj::str("the connection failed: ", e.getDescription());
  });
  KJ_IF_MAYBE (why, problem) {
    close(Outcome::FAILED, ownSent ? kj::str(*why,
                                             ", before it said whether the digits are the same: nothing is stored "
                                             "here, and perhaps something there (unpair it there)")
                                   : kj::str(*why));
    co_return;
  }
  peerAgreed = KJ_ASSERT_NONNULL(exchange.peerDecision());
  if (!peerAgreed) {
    close(Outcome::REFUSED_THERE, kj::str("at the other node the digits were said to differ"));
    co_return;
  }
  if (ownSent) {
    finish();
    co_return;
  }
  // The other node waits for what is said here. If it gives up, nothing must be trusted here either.
  kj::byte more;
  (void)co_await stream.tryRead(&more, 1, 1).catch_([](kj::Exception&&) { return size_t(0); });
  close(Outcome::FAILED, kj::str("the other node gave up waiting"));
}

kj::Promise<void> PairingWindow::speak(kj::AsyncIoStream& stream, PairingExchange& exchange) {
  while (ownDecision == nullptr) co_await decided.wait();
  bool same = KJ_ASSERT_NONNULL(ownDecision);
  auto frame = exchange.decide(same);
  co_await stream.write(frame.begin(), frame.size()).catch_([](kj::Exception&&) {});  // listen() learns why
  if (!same) {
    close(Outcome::REFUSED_HERE, kj::str("the digits were said to differ"));
    co_return;
  }
  ownSent = true;
  if (peerAgreed) {
    finish();
  } else {
    co_await kj::Promise<void>(kj::NEVER_DONE);  // listen() goes on
  }
}

void PairingWindow::finish() {
  auto& peer = KJ_ASSERT_NONNULL(candidate).peer;
  auto failed = kj::runCatchingExceptions([&] { context.host.trust(request.name, peer); });
  KJ_IF_MAYBE (exception, failed) {
    close(Outcome::FAILED, kj::str(exception->getDescription(),
                                   "; nothing is stored here, but the other node trusts this one: unpair it there"));
  } else {
    close(Outcome::OK, kj::str("paired"));
  }
}

void PairingWindow::decide(bool same) {
  KJ_REQUIRE(candidate != nullptr || end != nullptr, "there are no digits to compare yet");
  KJ_REQUIRE(ownDecision == nullptr, "it was said already whether the digits are the same");
  ownDecision = same;
  decided.fire();
}

void PairingWindow::close(Outcome outcome, kj::String reason) {
  if (end != nullptr) return;
  end = End{outcome, kj::mv(reason)};
  context.host.note(request.name, candidate.map([](Shown& c) -> const PublicIdentity& { return c.peer; }), outcome);
  closed.fire();
  changed.fire();
}

void PairingWindow::taskFailed(kj::Exception&& exception) {
  close(Outcome::FAILED, kj::str(exception.getDescription()));
}

}  // namespace nexus
