#include "daemons/dsoftbusd/policy/bus-admin-server.h"

namespace nexus {

namespace {

void fillTexts(capnp::List<capnp::Text>::Builder out, kj::ArrayPtr<const kj::String> texts) {
  for (auto i : kj::indices(texts)) out.set(i, texts[i]);
}

class BusAdminImpl final : public idl::BusAdmin::Server {
 public:
  explicit BusAdminImpl(LiveConfig& live) : live(live) {}

  kj::Promise<void> reload(ReloadContext context) override {
    auto result = live.reload();
    auto out = context.getResults().initResult();
    out.setOutcome(result.outcome);
    out.setSentence(result.sentence);
    fillTexts(out.initChanged(result.changed.size()), result.changed);
    fillTexts(out.initNeedsRestart(result.needsRestart.size()), result.needsRestart);
    out.setGeneration(live.policyGeneration());
    out.setStreamsReset(result.streamsReset);
    out.setAuditId(result.auditId);
    return kj::READY_NOW;
  }

  kj::Promise<void> setCandidate(SetCandidateContext context) override {
    auto result = live.setCandidate(context.getParams().getToml());
    context.getResults().setOutcome(result.outcome);
    context.getResults().setSentence(result.sentence);
    return kj::READY_NOW;
  }

  kj::Promise<void> dropCandidate(DropCandidateContext context) override {
    context.getResults().setOutcome(live.dropCandidate().outcome);
    return kj::READY_NOW;
  }

 private:
  LiveConfig& live;
};

}  // namespace

idl::BusAdmin::Client newBusAdminServer(LiveConfig& live) {
  return kj::heap<BusAdminImpl>(live);
}

}  // namespace nexus
