#include "daemons/samgrd/samgrd.h"

#include <kj/debug.h>

#include "libs/oslite-frames/samgr-frames.h"
#include "libs/oslite-frames/service-id.h"

namespace nexus {

namespace {

constexpr kj::StringPtr SUPERVISOR = "initd"_kj;
constexpr size_t MAX_NAME_BYTES = 48;

using Status = idl::Samgr::Status;
using Frame = kj::Array<kj::byte>;

bool isName(kj::StringPtr name) {
  return 1 <= name.size() && name.size() <= MAX_NAME_BYTES;
}

class SamgrServer final : public idl::Samgr::Server {
 public:
  SamgrServer(ServiceRegistry& registry, Samgrd::Counters& counters, kj::StringPtr client, int pid)
      : registry(registry), counters(counters), client(kj::heapString(client)), pid(pid < 0 ? 0 : pid) {}

  kj::Promise<void> register_(RegisterContext context) override {
    auto params = context.getParams();
    auto name = params.getName();
    auto status = Status::MALFORMED;
    if (isName(name)) {
      if (!registry.tryRegister(client, name, {params.getSendSlot(), params.getRecvSlot()})) {
        return KJ_EXCEPTION(OVERLOADED, "the service registry is full", client);
      }
      status = Status::OK;
    }
    context.getResults().setStatus(status);
    return kj::READY_NOW;
  }

  kj::Promise<void> lookup(LookupContext context) override {
    auto name = context.getParams().getName();
    auto results = context.getResults();
    results.setStatus(isName(name) ? Status::NOT_FOUND : Status::MALFORMED);
    auto found = registry.lookup(client, name);
    KJ_IF_MAYBE (slots, found) {
      results.setStatus(Status::OK);
      results.setSendSlot(slots->send);
      results.setRecvSlot(slots->recv);
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> resolveStatus(ResolveStatusContext context) override {
    auto name = context.getParams().getName();
    auto present = registry.isPresent(name) ? Status::OK : Status::NOT_FOUND;
    context.getResults().setStatus(isName(name) ? present : Status::MALFORMED);
    return kj::READY_NOW;
  }

  kj::Promise<void> osLite(OsLiteContext context) override {
    auto frame = context.getParams().getFrame();
    KJ_REQUIRE(frame.size() <= sm::MAX_FRAME_BYTES, "an SM frame is at most 512 bytes", frame.size());
    counters.frames++;
    context.getResults().setReply(answer(sm::decodeRequest(frame)));
    return kj::READY_NOW;
  }

 private:
  ServiceRegistry& registry;
  Samgrd::Counters& counters;
  kj::String client;
  uint32_t pid;  // 0 when the kernel did not say

  Frame answer(sm::Request request) {
    KJ_SWITCH_ONEOF(request) {
      KJ_CASE_ONEOF(r, sm::Register) return answerRegister(r);
      KJ_CASE_ONEOF(r, sm::Lookup) return answerLookup(r);
      KJ_CASE_ONEOF(r, sm::PingCapMove) return sm::encodePong(r.nonce);
      KJ_CASE_ONEOF(r, sm::SenderPid) return sm::encodeSenderPidReply(pid, r.nonce);
      KJ_CASE_ONEOF(r, sm::SenderServiceId) {
        return sm::encodeSenderServiceIdReply(oslite::serviceId(client), r.nonce);
      }
      KJ_CASE_ONEOF(r, sm::ResolveStatus) {
        return sm::encodeReply(sm::Op::RESOLVE_STATUS,
                               registry.isPresent(r.name) ? sm::Status::OK : sm::Status::NOT_FOUND);
      }
      KJ_CASE_ONEOF(fault, sm::Fault) {
        counters.faults++;
        return sm::encodeFault(fault);
      }
    }
    KJ_UNREACHABLE;
  }

  // SM has no status for "full"; UNSUPPORTED is the one that tells the client that the frame was right and that it was
  // not done.
  Frame answerRegister(const sm::Register& r) {
    bool done = registry.tryRegister(client, r.name, {r.sendSlot, r.recvSlot});
    return sm::encodeReply(sm::Op::REGISTER, done ? sm::Status::OK : sm::Status::UNSUPPORTED);
  }

  Frame answerLookup(const sm::Lookup& r) {
    auto found = registry.lookup(client, r.name);
    KJ_IF_MAYBE (slots, found) return sm::encodeReply(sm::Op::LOOKUP, sm::Status::OK, slots->send, slots->recv);
    return sm::encodeReply(sm::Op::LOOKUP, sm::Status::NOT_FOUND);
  }
};

}  // namespace

Samgrd::Samgrd(kj::Timer& timer, const RegistryLimits& limits)
    : registry(limits), statusSource("samgrd", timer, [this] { return report(); }) {}

void Samgrd::registerAtStart(kj::StringPtr name) {
  KJ_REQUIRE(isName(name), "a service name in the configuration is 1 to 48 bytes", name);
  KJ_REQUIRE(registry.tryRegister(SUPERVISOR, name, {0, 0}), "the configuration names too many services", name);
}

idl::Samgr::Client Samgrd::connect(kj::StringPtr client, const PeerCredentials& credentials) {
  return kj::heap<SamgrServer>(registry, counters, client, credentials.pid);
}

StatusReport Samgrd::report() const {
  return {
      idl::DaemonStatus::Health::UP, kj::str("answers for ", registry.size(), " registered names"),
      kj::arr(NamedCounter{"samgr.namesNow"_kj, registry.size()},
              NamedCounter{"samgr.namesRefused"_kj, registry.refusedCount()},
              NamedCounter{"samgr.frames"_kj, counters.frames}, NamedCounter{"samgr.frameFaults"_kj, counters.faults})};
}

}  // namespace nexus
