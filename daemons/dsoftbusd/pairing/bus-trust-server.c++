#include "daemons/dsoftbusd/pairing/bus-trust-server.h"

#include <kj/debug.h>

#include "libs/nexus-net-os/base/utc.h"

namespace nexus {

namespace {

using Outcome = idl::PairOutcome;

class PairingImpl final : public idl::Pairing::Server {
 public:
  explicit PairingImpl(kj::Own<PairingWindow> window) : window(kj::mv(window)) {}

  kj::Promise<void> code(CodeContext context) override {
    auto place = wait();
    while (window->shown() == nullptr && window->ended() == nullptr) co_await window->whenChanged();
    auto results = context.getResults();
    KJ_IF_MAYBE (shown, window->shown()) {
      results.setCode(shown->code);
      results.setDeviceId(shown->peer.deviceId);
      shown->address.toIdl(results.initAddress());
    } else {
      results.initAddress().initAddress().setAny();
    }
    KJ_IF_MAYBE (end, window->ended()) {
      results.setOutcome(end->outcome);
      results.setReason(end->reason);
    }
  }

  kj::Promise<void> confirm(ConfirmContext context) override {
    auto place = wait();
    if (window->ended() == nullptr) window->decide(context.getParams().getSame());
    while (window->ended() == nullptr) co_await window->whenChanged();
    auto& end = KJ_ASSERT_NONNULL(window->ended());
    context.getResults().setOutcome(end.outcome);
    context.getResults().setReason(end.reason);
  }

 private:
  kj::Own<PairingWindow> window;
  kj::uint waiting = 0;

  kj::Own<void> wait() {
    if (waiting >= MAX_PAIRING_CALLS) {
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many calls of this pairing wait", MAX_PAIRING_CALLS));
    }
    waiting++;
    return kj::attachVal(0, kj::defer([this] { waiting--; }));
  }
};

class BusTrustImpl final : public idl::BusTrust::Server {
 public:
  BusTrustImpl(const TrustTable& trust, TrustKeeper& keeper, Pairer& pairer, kj::Timer& timer)
      : trust(trust), keeper(keeper), pairer(pairer), timer(timer) {}

  kj::Promise<void> list(ListContext context) override {
    auto results = context.getResults();
    results.setMost(keeper.mostPeers());
    results.setTrustFile(keeper.storeName());
    auto list = results.initPeers(trust.all().size());
    for (auto i : kj::indices(trust.all())) {
      auto& peer = trust.all()[i];
      auto out = list[i];
      out.setName(peer.name);
      out.setDeviceId(peer.identity.deviceId);
      out.setStaticKey(toHex(peer.identity.staticKey));
      out.setOrigin(peer.paired ? idl::BusTrust::Origin::PAIRING : idl::BusTrust::Origin::CONFIGURATION);
      KJ_IF_MAYBE (previous, peer.previous) {
        out.setPreviousDeviceId(previous->identity.deviceId);
        out.setGraceMs(kj::max(previous->until - timer.now(), 0 * kj::SECONDS) / kj::MILLISECONDS);
      }
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> pair(PairContext context) override {
    auto params = context.getParams();
    auto opened = pairer.open(params.getName(), params.getPeer(), params.getWindowMs() * kj::MILLISECONDS);
    auto results = context.getResults();
    KJ_SWITCH_ONEOF(opened) {
      KJ_CASE_ONEOF(window, kj::Own<PairingWindow>) {
        results.setPairing(kj::heap<PairingImpl>(kj::mv(window)));
      }
      KJ_CASE_ONEOF(refused, Pairer::Refused) {
        results.setOutcome(refused.outcome);
        results.setReason(refused.reason);
      }
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> unpair(UnpairContext context) override {
    using Unpaired = idl::BusTrust::UnpairOutcome;
    auto peer = kj::str(context.getParams().getPeer());
    auto outcome = Unpaired::NOT_STORED;
    auto failed = kj::runCatchingExceptions([&] {
      switch (pairer.unpair(peer)) {
        case TrustKeeper::Removed::REMOVED:
          outcome = Unpaired::OK;
          break;
        case TrustKeeper::Removed::UNKNOWN:
          outcome = Unpaired::UNKNOWN_PEER;
          break;
        case TrustKeeper::Removed::CONFIGURED:
          outcome = Unpaired::CONFIGURED;
          break;
      }
    });
    KJ_IF_MAYBE (exception, failed) KJ_LOG(ERROR, "a peer was not unpaired", exception->getDescription());
    context.getResults().setOutcome(outcome);
    return kj::READY_NOW;
  }

  kj::Promise<void> rekey(RekeyContext context) override {
    auto params = context.getParams();
    auto outcome = RekeyOutcome::NOT_STORED;
    auto failed = kj::runCatchingExceptions([&] { outcome = tryRekey(params); });
    KJ_IF_MAYBE (exception, failed) KJ_LOG(ERROR, "a peer was not given its new key", exception->getDescription());
    context.getResults().setOutcome(outcome);
    return kj::READY_NOW;
  }

 private:
  using RekeyOutcome = idl::BusTrust::RekeyOutcome;

  RekeyOutcome tryRekey(idl::BusTrust::RekeyParams::Reader params) {
    auto deviceId = params.getDeviceId();
    auto key = tryParseKeyBytes(params.getStaticKey());
    if (!isDeviceId(deviceId) || key == nullptr) return RekeyOutcome::BAD_KEY;
    auto until = tryParseUtc(params.getUntil());
    if (until == nullptr) return RekeyOutcome::BAD_TIME;
    PublicIdentity next{kj::str(deviceId), KJ_ASSERT_NONNULL(key)};
    switch (pairer.rekey(params.getPeer(), kj::mv(next), KJ_ASSERT_NONNULL(until))) {
      case TrustKeeper::Rekeyed::DONE:
        return RekeyOutcome::OK;
      case TrustKeeper::Rekeyed::UNKNOWN:
        return RekeyOutcome::UNKNOWN_PEER;
      case TrustKeeper::Rekeyed::CONFIGURED:
        return RekeyOutcome::CONFIGURED;
      case TrustKeeper::Rekeyed::SAME_KEY:
        return RekeyOutcome::SAME_KEY;
      case TrustKeeper::Rekeyed::DEVICE_KNOWN:
        return RekeyOutcome::ALREADY_TRUSTED;
      case TrustKeeper::Rekeyed::OVER:
        return RekeyOutcome::BAD_TIME;
    }
    KJ_UNREACHABLE;
  }

  const TrustTable& trust;
  TrustKeeper& keeper;
  Pairer& pairer;
  kj::Timer& timer;
};

}  // namespace

idl::BusTrust::Client newBusTrustServer(const TrustTable& trust, TrustKeeper& keeper, Pairer& pairer,
                                        kj::Timer& timer) {
  return kj::heap<BusTrustImpl>(trust, keeper, pairer, timer);
}

}  // namespace nexus
