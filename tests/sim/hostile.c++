#include "tests/sim/hostile.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/transport/net-transport.h"

namespace nexus {

namespace {

constexpr uint16_t SESSION_PORT = 34567;

}  // namespace

kj::StringPtr hostileName(HostileKind kind) {
  static constexpr kj::StringPtr NAMES[] = {"stranger"_kj,    "replayer"_kj, "announcer"_kj,
                                            "half-opener"_kj, "slow"_kj,     "mallory"_kj};
  return NAMES[kj::uint(kind)];
}

kj::Promise<void> runHostile(HostileKind kind, HostileMeans means) {
  auto make = [&]() -> kj::Own<Hostile> {
    switch (kind) {
      case HostileKind::STRANGER:
        return newStranger(kj::mv(means));
      case HostileKind::REPLAYER:
        return newReplayer(kj::mv(means));
      case HostileKind::ANNOUNCER:
        return newAnnouncer(kj::mv(means));
      case HostileKind::HALF_OPENER:
        return newHalfOpener(kj::mv(means));
      case HostileKind::SLOW:
        return newSlow(kj::mv(means));
      case HostileKind::MALLORY:
        return newMallory(kj::mv(means));
    }
    KJ_UNREACHABLE;
  };
  auto hostile = make();
  auto promise = hostile->loop();
  return promise.attach(kj::mv(hostile));
}

Hostile::Hostile(HostileMeans m) : means(kj::mv(m)), random(means.seed) {
  for (auto i : kj::zeroTo(means.books.honest)) known.add(identityOf(i).publicIdentity());
}

kj::Promise<void> Hostile::loop() {
  for (;;) {
    co_await means.timer.afterDelay(pause());
    co_await kj::evalNow([this] { return once(); }).catch_([](kj::Exception&&) {});
  }
}

kj::Array<kj::byte> Hostile::noise(size_t bytes) {
  auto out = kj::heapArray<kj::byte>(bytes);
  random.fill(out);
  return out;
}

DeviceIdentity Hostile::identityOf(kj::uint machine) {
  return DeviceIdentity::forTest(FleetApp::machineName(machine));
}

kj::Promise<kj::Maybe<kj::Own<kj::AsyncIoStream>>> Hostile::dial(kj::uint victim) {
  auto transport = newNetTransport(means.net);
  auto dialled = co_await transport->dial(SocketAddress{FleetWire::addressOf(victim), SESSION_PORT});
  KJ_IF_MAYBE (stream, dialled.tryGet<kj::Own<kj::AsyncIoStream>>()) co_return kj::mv(*stream);
  co_return nullptr;
}

kj::Promise<kj::Maybe<HandshakeDone>> Hostile::shakeHands(kj::uint victim, const DeviceIdentity& own) {
  auto maybeStream = co_await dial(victim);
  KJ_IF_MAYBE (stream, maybeStream) {
    ExpectedPeer expected{knownOf(victim).staticKey, nullptr};
    auto result = co_await initiateHandshake(kj::mv(*stream), own, kj::mv(expected), means.timer, random);
    KJ_IF_MAYBE (done, result.tryGet<HandshakeDone>()) co_return kj::mv(*done);
  }
  co_return nullptr;
}

}  // namespace nexus
