#pragma once
// For tests: the serving end of calls between nodes, with a service behind it that can do everything that is not
// allowed, on virtual time and pipes in memory.
#include "daemons/dsoftbusd/schema-rpc/rpc-export.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-import.h"
#include "daemons/dsoftbusd/schema-rpc/rpc-test.capnp.h"
#include "libs/nexus-net-os/testing/sim-clock.h"

namespace nexus {

class GaugeImpl final : public idl::Gauge::Server {
 public:
  struct State {
    int64_t total = 0;
    kj::uint hanging = 0, cancelled = 0, calls = 0, objects = 0;
    size_t failureBytes = 0;  // of what fail() says; 0: a few words
  };
  explicit GaugeImpl(State& state) : state(state) { state.objects++; }
  ~GaugeImpl() noexcept(false) { state.objects--; }

  kj::Promise<void> name(NameContext context) override {
    context.getResults().setName("gauge");
    return count();
  }
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setData(context.getParams().getData());
    return count();
  }
  kj::Promise<void> grow(GrowContext context) override {
    context.getResults().initData(context.getParams().getBytes());
    return count();
  }
  kj::Promise<void> hang(HangContext) override {
    state.hanging++;
    return kj::Promise<void>(kj::NEVER_DONE).attach(kj::defer([&s = state] {
      s.hanging--;
      s.cancelled++;
    }));
  }
  kj::Promise<void> fail(FailContext) override {
    KJ_REQUIRE(state.failureBytes > 0, "the gauge is\nstuck");
    kj::throwFatalException(
        kj::Exception(kj::Exception::Type::FAILED, "", 0, kj::str(kj::repeat('z', state.failureBytes))));
  }
  kj::Promise<void> add(AddContext context) override {
    state.total = state.total * 10 + context.getParams().getAmount();
    return count();
  }
  kj::Promise<void> sum(SumContext context) override {
    context.getResults().setSum(sumOf(context.getParams().getTree()));
    return count();
  }
  kj::Promise<void> take(TakeContext) override { return count(); }
  kj::Promise<void> give(GiveContext context) override {
    context.getResults().setGauge(kj::heap<GaugeImpl>(state));
    return count();
  }
  kj::Promise<void> sneak(SneakContext context) override {
    // The result type of give() has its pointer where that of sneak() has its own.
    auto raw = capnp::toAny(context.getResults()).getPointerSection()[0];
    raw.setAs<capnp::Capability>(idl::Gauge::Client(kj::heap<GaugeImpl>(state)));
    return count();
  }

 private:
  State& state;

  kj::Promise<void> count() {
    state.calls++;
    return kj::READY_NOW;
  }
  static int32_t sumOf(idl::Tree::Reader tree) {
    int32_t sum = tree.getValue();
    for (auto child : tree.getChildren()) sum += sumOf(child);
    return sum;
  }
};

inline PolicyRule rpcRule(kj::StringPtr peer, std::initializer_list<kj::StringPtr> operations) {
  return {kj::str(peer), kj::str("rpc:gauge"), KJ_MAP(o, operations){return kj::str(o);
}
};  // namespace nexus
}

// The serving node ("node-b") and its service.
struct RpcServingNode {
  SimClock sim;
  AuditLog audit{sim.timer};
  RateLimiter rate;
  RemoteProxyObserver observer;
  kj::Own<LivePolicy> policy;
  kj::Own<RemoteProxy> proxy;
  RpcService service = describe();
  GaugeImpl::State state;
  kj::Maybe<capnp::Capability::Client> gauge = capnp::Capability::Client(kj::heap<GaugeImpl>(state));
  kj::uint asked = 0;  // how often the service was asked for
  kj::Own<RpcExporter> exporter;

  explicit RpcServingNode(RpcStreamLimits limits = {}, kj::uint perSecond = 10000) : rate(perSecond, perSecond) {
    kj::Vector<PolicyRule> rules;
    rules.add(rpcRule("node-a", {"echo", "grow", "hang", "fail", "add", "sum", "sneak", "name"}));
    rules.add(rpcRule("node-c", {"echo", "hang"}));
    rules.add(PolicyRule{kj::str("node-a"), kj::str("rpc:other"), kj::arr(kj::str("echo"))});  // which is not offered
    policy = kj::heap<LivePolicy>(rules.releaseAsArray());
    proxy = kj::heap<RemoteProxy>(sim.timer, *policy, rate, audit, observer, kj::Array<RemoteProxy::Backend>());
    auto offers = kj::heapArrayBuilder<RpcExporter::Offer>(1);
    offers.add(RpcExporter::Offer{service, [this]() -> capnp::Capability::Client {
                                    asked++;
                                    KJ_IF_MAYBE (g, gauge) return *g;
                                    return KJ_EXCEPTION(DISCONNECTED, "the service is gone");
                                  }});
    exporter = kj::heap<RpcExporter>(sim.timer, *proxy, "node-b", offers.finish(), limits);
  }

  static RpcService describe() {
    auto described = RpcService::describe("gauge", "gauge", capnp::Schema::from<idl::Gauge>());
    KJ_IF_MAYBE (wrong, described.tryGet<kj::String>()) KJ_FAIL_REQUIRE(*wrong);
    return kj::mv(described.get<RpcService>());
  }

  // A stream of that peer; dropping the promise is what the end of its session does.
  struct Stream {
    kj::Own<kj::AsyncIoStream> end;
    kj::Promise<void> serving;
  };
  Stream open(kj::StringPtr peer = "node-a") {
    auto pipe = kj::newTwoWayPipe();
    auto serving = exporter->serve({true, peer}, "rpc:gauge#i1", kj::mv(pipe.ends[1])).eagerlyEvaluate(nullptr);
    return {kj::mv(pipe.ends[0]), kj::mv(serving)};
  }

  AuditEntry lastAudit() {
    AuditEntry last;
    audit.forEachAfter(0, [&](const AuditEntry& e) {
      last = AuditEntry{e.id,      e.time,        kj::str(e.peer), kj::str(e.service), kj::str(e.operation),
                        e.verdict, e.requestBytes};
    });
    return last;
  }
};

}  // namespace nexus
