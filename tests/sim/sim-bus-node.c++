#include "tests/sim/sim-bus-node.h"

#include <kj/debug.h>

#include "daemons/dsoftbusd/schema-rpc/read-schema.h"
#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/config-loader.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"

namespace nexus {

// The import `net` of a process: connects to the stack that is there now.
class SimBusNode::Source final : public NetworkSource {
 public:
  explicit Source(SimBusNode& node)
      : import([&node]() -> kj::Promise<kj::Own<kj::AsyncCapabilityStream>> {
          if (node.stack.get() == nullptr) return KJ_EXCEPTION(DISCONNECTED, "nobody serves the socket");
          auto pipe = kj::newCapabilityPipe();
          node.stack->accept(kj::mv(pipe.ends[0]));
          return kj::mv(pipe.ends[1]);
        }) {}

  idl::NetworkManager::Client get() override { return import.get<idl::NetworkManager>(); }
  kj::Promise<void> whenLost() override { return import.whenLost(); }

 private:
  CapReconnect import;
};

class SimBusNode::SamgrStandIn final : public idl::Samgr::Server {
 public:
  explicit SamgrStandIn(kj::uint& calls) : calls(calls) {}

  // Knows bundlemgrd and nobody else.
  kj::Promise<void> osLite(OsLiteContext context) override {
    calls++;
    auto request = sm::decodeRequest(context.getParams().getFrame());
    auto& resolve = request.get<sm::ResolveStatus>();
    bool found = resolve.name == "bundlemgrd"_kj.asArray();
    context.getResults().setReply(
        sm::encodeReply(sm::Op::RESOLVE_STATUS, found ? sm::Status::OK : sm::Status::NOT_FOUND));
    return kj::READY_NOW;
  }

  kj::Promise<void> resolveStatus(ResolveStatusContext context) override {
    calls++;
    bool found = context.getParams().getName() == "bundlemgrd";
    context.getResults().setStatus(found ? idl::Samgr::Status::OK : idl::Samgr::Status::NOT_FOUND);
    return kj::READY_NOW;
  }

 private:
  kj::uint& calls;
};

class SimBusNode::BundlemgrStandIn final : public idl::Bundlemgr::Server {
 public:
  explicit BundlemgrStandIn(kj::uint& calls) : calls(calls) {}

  kj::Promise<void> osLite(OsLiteContext context) override {
    calls++;
    auto request = bn::decodeRequest(context.getParams().getFrame());
    KJ_REQUIRE(request.is<bn::List>(), "the proxy let something else pass");
    context.getResults().setReply(bn::encodeListReply(3));
    return kj::READY_NOW;
  }

 private:
  kj::uint& calls;
};

SimBusNode::SimBusNode(SimClock& sim, SimNetwork& network, kj::StringPtr node, kj::StringPtr toml, SimServices services)
    : sim(sim),
      network(network),
      name(kj::str(node)),
      toml(kj::str(toml)),
      services(kj::mv(services)),
      entropy(kj::hashCode(node)) {
  startStack();
  start();
}

SimBusNode::~SimBusNode() noexcept(false) {
  stop();
}

void SimBusNode::start() {
  capnp::MallocMessageBuilder message;
  auto wrong = loadConfig("test.toml", toml, "dsoftbusd", capnp::Schema::from<config::Dsoftbusd>(), message);
  KJ_IF_MAYBE (e, wrong) KJ_FAIL_REQUIRE("bad test configuration", e->message);
  auto config = message.getRoot<config::Dsoftbusd>().asReader();
  auto checked = checkSettings(
      config, [](kj::StringPtr) { return SettingsError{kj::str("no files here")}; },
      {sim.calendar.now(), sim.timer.now()}, [](OfferList offers) { return checkOffers(offers, readSchemaFile); });
  KJ_IF_MAYBE (e, checked.tryGet<SettingsError>()) KJ_FAIL_REQUIRE("bad test configuration", e->sentence);

  auto& p = process.emplace();
  p.source = kj::heap<Source>(*this);
  p.markers = kj::heap<BusMarkers>([this](const Marker& marker, kj::StringPtr) { lines.add(kj::str(marker.text)); });
  p.node = kj::heap<Dsoftbusd>(kj::mv(checked.get<BusSettings>()), imports(*p.source), sim.timer, sim.calendar, entropy,
                               *p.markers, *p.markers);
  p.running = p.node->run().eagerlyEvaluate([](kj::Exception&& e) { KJ_LOG(FATAL, "a node ended", e); });
}

Dsoftbusd::Imports SimBusNode::imports(NetworkSource& source) {
  Dsoftbusd::Imports imports{kj::arr<NetworkSource*>(&source),
                             [this]() -> idl::Samgr::Client {
                               KJ_IF_MAYBE (real, services.samgr) return *real;
                               return kj::heap<SamgrStandIn>(samgrCalls);
                             },
                             [this]() -> idl::Bundlemgr::Client {
                               KJ_IF_MAYBE (real, services.bundlemgr) return *real;
                               return kj::heap<BundlemgrStandIn>(bundlemgrCalls);
                             }};
  imports.trustStore = paired;
  KJ_IF_MAYBE (packagefs, services.packagefs) {
    imports.packagefs = kj::Function<idl::Packagefs::Client()>([packagefs] { return *packagefs; });
  }
  KJ_IF_MAYBE (statefs, services.statefs) {
    imports.statefs = kj::Function<idl::Statefs::Client()>([statefs] { return *statefs; });
  }
  imports.named = kj::Function<capnp::Capability::Client(kj::StringPtr)>([this](kj::StringPtr import) {
    if (import == "samgr") return capnp::Capability::Client(kj::heap<SamgrStandIn>(samgrCalls));
    if (import == "bundlemgr") return capnp::Capability::Client(kj::heap<BundlemgrStandIn>(bundlemgrCalls));
    KJ_IF_MAYBE (cap, named.find(import)) return *cap;
    return capnp::Capability::Client(KJ_EXCEPTION(DISCONNECTED, "nobody serves the import", import));
  });
  return imports;
}

void SimBusNode::stop() {
  KJ_IF_MAYBE (p, process) {
    p->running = nullptr;
    p->node = nullptr;
    process = nullptr;
  }
}

void SimBusNode::startStack() {
  stack = kj::heap<CapServer>(
      [this](const PeerCredentials&) -> capnp::Capability::Client { return network.manager(name); });
}

void SimBusNode::stopStack() {
  stack = nullptr;
}

void SimBusNode::restartStack() {
  stopStack();
  startStack();
}

idl::DSoftBus::Client SimBusNode::bus() {
  return daemon().newBusClient();
}

idl::PeerSession::Client SimBusNode::session(kj::StringPtr peer, kj::Duration limit) {
  auto client = bus();
  auto request = client.sessionRequest();
  request.setPeer(peer);
  auto response = sim.run(kj::Promise<capnp::Response<idl::DSoftBus::SessionResults>>(request.send()), limit);
  KJ_REQUIRE(response.getOutcome() == idl::DSoftBus::Outcome::OK, "no session", peer, uint16_t(response.getOutcome()));
  return response.getSession();
}

SimBusNode::Reply SimBusNode::call(kj::StringPtr peer, kj::StringPtr service, kj::ArrayPtr<const kj::byte> frame) {
  auto client = session(peer);
  auto request = client.callRequest();
  request.setService(service);
  request.setFrame(frame);
  auto response = sim.run(kj::Promise<capnp::Response<idl::PeerSession::CallResults>>(request.send()));
  return {response.getStatus(), response.getAuditId(), kj::heapArray<kj::byte>(response.getReply())};
}

idl::SessionState SimBusNode::state(kj::StringPtr peer) {
  return KJ_ASSERT_NONNULL(daemon().sessions().findLink(peer)).state();
}

kj::uint SimBusNode::printCount(const Marker& marker) const {
  kj::uint count = 0;
  for (auto& line : lines) count += line == marker.text ? 1 : 0;
  return count;
}

}  // namespace nexus
