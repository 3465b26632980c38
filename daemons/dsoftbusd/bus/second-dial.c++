#include "daemons/dsoftbusd/bus/second-dial.h"

#include <kj/debug.h>

namespace nexus {

namespace {

// Resolves when the peer answers, and only then.
kj::Promise<void> ask(Session& session) {
  return kj::evalNow([&] { return session.pingForNode(); })
      .then([](kj::Array<kj::byte>) -> kj::Promise<void> { return kj::READY_NOW; },
            [](kj::Exception&&) -> kj::Promise<void> { return kj::NEVER_DONE; });
}

}  // namespace

SecondDial::SecondDial(kj::Timer& timer, Owner& owner, DoubtTimes times)
    : timer(timer), owner(owner), times(times), closing(*this), current(kj::READY_NOW) {}

SecondDial::~SecondDial() noexcept(false) = default;

void SecondDial::doubt(Session& session) {
  if (busy || session.silence() < times.patience || !limit.take(timer.now())) return;
  busy = true;
  counts.doubts++;
  current = run(kj::addRef(session)).eagerlyEvaluate([](kj::Exception&& exception) {
    KJ_LOG(ERROR, "a second dial failed", exception);
  });
}

kj::Maybe<HandshakeDone> SecondDial::stop() {
  current = kj::READY_NOW;
  busy = false;
  limit = DoubtLimit();
  auto result = kj::mv(undecided);
  undecided = nullptr;
  return result;
}

kj::Promise<void> SecondDial::run(kj::Own<Session> session) {
  KJ_DEFER(busy = false);
  auto asked = timer.now();
  auto answered = ask(*session).fork();
  bool answers =
      co_await answered.addBranch().then([] { return true; }).exclusiveJoin(timer.afterDelay(times.patience).then([] {
        return false;
      }));
  bool heard = session->silence() < timer.now() - asked;
  if (answers || heard) co_return;
  owner.onSilence();
  auto dial = owner.dialAgain(times.connectTimeout);
  if (dial == nullptr) co_return;
  counts.dials++;
  bool chosen =
      co_await isChosen(kj::mv(KJ_ASSERT_NONNULL(dial))).exclusiveJoin(answered.addBranch().then([] { return false; }));
  auto connection = kj::mv(undecided);
  undecided = nullptr;
  if (chosen) {
    counts.chosen++;
    owner.onChosen(kj::mv(KJ_ASSERT_NONNULL(connection)));
    co_return;
  }
  limit.inVain(timer.now());
  KJ_IF_MAYBE (c, connection) {
    closing.add(closeChannel(kj::mv(c->channel), CloseMessage{CloseReason::SUPERSEDED, 0}, timer));
  }
}

// Whether the peer could be authenticated on a new connection and speaks there.
kj::Promise<bool> SecondDial::isChosen(kj::Promise<HandshakeResult> dial) {
  auto result = co_await dial;
  if (!result.is<HandshakeDone>()) co_return false;
  undecided = kj::mv(result.get<HandshakeDone>());
  co_return co_await KJ_ASSERT_NONNULL(undecided).channel->speaks().exclusiveJoin(
      timer.afterDelay(times.decisionTimeout).then([] { return false; }));
}

void SecondDial::taskFailed(kj::Exception&& exception) {
  KJ_LOG(WARNING, "a connection that was in vain could not be closed", exception.getDescription());
}

}  // namespace nexus
