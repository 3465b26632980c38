#include "tests/sim/fleet-node.h"

#include <kj/debug.h>

#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/config-loader.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"

namespace nexus {

namespace {

kj::Maybe<kj::uint> machineOf(kj::StringPtr name) {
  if (!name.startsWith("m")) return nullptr;
  return name.slice(1).tryParseAs<kj::uint>();
}

kj::Maybe<FleetRight> rightOf(kj::ArrayPtr<const char> service) {
  for (auto right : {FleetRight::RESOLVE, FleetRight::LIST}) {
    if (fleetService(right).asArray() == service) return right;
  }
  return nullptr;
}

}  // namespace

class FleetNode::Source final : public NetworkSource {
 public:
  explicit Source(idl::NetworkManager::Client net) : net(kj::mv(net)) {}
  idl::NetworkManager::Client get() override { return net; }
  kj::Promise<void> whenLost() override { return kj::NEVER_DONE; }

 private:
  idl::NetworkManager::Client net;
};

class FleetNode::Observer final : public BusObserver, public RemoteProxyObserver {
 public:
  explicit Observer(FleetNode& node) : node(node) {}
  void onAuthenticated(kj::StringPtr peer) override { node.books.trace.note(node.name, "authenticated", peer); }
  void onLive(kj::StringPtr peer) override { node.books.trace.note(node.name, "is live with", peer); }
  void onDecision(const RemoteCaller& caller, kj::ArrayPtr<const char> service, CallStatus status) override {
    KJ_IF_MAYBE (right, rightOf(service)) {
      auto machine = machineOf(caller.name).orDefault(node.books.rights.machines);  // that one may do nothing
      node.books.calls.decided(machine, node.machine, *right, caller.authenticated, status == CallStatus::OK);
    } else if (status == CallStatus::OK) {
      node.books.trace.violation(kj::str(node.name, " allowed an unknown service to ", caller.name));
    }
  }

 private:
  FleetNode& node;
};

class FleetNode::SamgrStandIn final : public idl::Samgr::Server {
 public:
  explicit SamgrStandIn(FleetNode& node) : node(node) {}

  // The name that is asked for is the canary and the token of the call.
  kj::Promise<void> osLite(OsLiteContext context) override {
    auto request = sm::decodeRequest(context.getParams().getFrame());
    auto& resolve = request.get<sm::ResolveStatus>();
    uint64_t token = 0;
    if (resolve.name.size() == StreamLedger::CANARY + sizeof(token)) {
      memcpy(&token, resolve.name.begin() + StreamLedger::CANARY, sizeof(token));
    }
    node.books.calls.executed(node.machine, token);
    context.getResults().setReply(sm::encodeReply(sm::Op::RESOLVE_STATUS, sm::Status::OK));
    return kj::READY_NOW;
  }

 private:
  FleetNode& node;
};

class FleetNode::BundlemgrStandIn final : public idl::Bundlemgr::Server {
 public:
  explicit BundlemgrStandIn(FleetNode& node) : node(node) {}

  kj::Promise<void> osLite(OsLiteContext context) override {
    auto request = bn::decodeRequest(context.getParams().getFrame());
    if (!request.is<bn::List>())
      node.books.trace.violation(kj::str(node.name, ": a frame that is no list got through"));
    node.books.calls.executedList(node.machine);
    context.getResults().setReply(bn::encodeListReply(3));
    return kj::READY_NOW;
  }

 private:
  FleetNode& node;
};

FleetNode::FleetNode(kj::uint machine, Options options, SimNetwork& network, FleetWire& wire, FleetBooks& books,
                     uint64_t seed, kj::TimePoint now, kj::Maybe<kj::Timer&> shared)
    : clock(now),
      machine(machine),
      options(kj::mv(options)),
      name(FleetApp::machineName(machine)),
      network(network),
      wire(wire),
      books(books),
      seed(seed),
      shared(shared),
      entropy(FleetTrace::scramble(seed + machine)) {}

FleetNode::~FleetNode() noexcept(false) {
  process = nullptr;
}

void FleetNode::start() {
  if (isUp()) return;
  books.trace.note(name, "starts");
  network.switchOn(name);
  capnp::MallocMessageBuilder message;
  auto wrong = loadConfig("fleet.toml", options.toml, "dsoftbusd", capnp::Schema::from<config::Dsoftbusd>(), message);
  KJ_IF_MAYBE (e, wrong) KJ_FAIL_REQUIRE("bad test configuration", e->message);
  auto config = message.getRoot<config::Dsoftbusd>().asReader();
  auto checked = checkSettings(config, [](kj::StringPtr) { return SettingsError{kj::str("no files here")}; },
                               {kj::UNIX_EPOCH, kj::origin<kj::TimePoint>()});
  KJ_IF_MAYBE (e, checked.tryGet<SettingsError>()) KJ_FAIL_REQUIRE("bad test configuration", e->sentence);

  kj::Timer& timer = shared.orDefault(clock.timer);
  auto& p = process.emplace();
  p.observer = kj::heap<Observer>(*this);
  p.source = kj::heap<Source>(network.manager(name));
  Dsoftbusd::Imports imports{kj::arr<NetworkSource*>(p.source.get()),
                             [this]() -> idl::Samgr::Client { return kj::heap<SamgrStandIn>(*this); },
                             [this]() -> idl::Bundlemgr::Client { return kj::heap<BundlemgrStandIn>(*this); }};
  p.daemon = kj::heap<Dsoftbusd>(kj::mv(checked.get<BusSettings>()), kj::mv(imports), timer, kj::nullClock(), entropy,
                                 *p.observer, *p.observer);
  bool anyRevoked = false;
  for (auto peer : kj::zeroTo(books.rights.machines)) anyRevoked |= books.rights.hasRevoked(machine, peer);
  trusted = p.daemon->trusted().clone();
  if (anyRevoked) applyTrust();
  p.running = p.daemon->run().eagerlyEvaluate(
      [this](kj::Exception&& e) { books.trace.violation(kj::str(name, " ended: ", e)); });
  if (options.runsPrograms) startPrograms();
}

void FleetNode::startPrograms() {
  auto& p = KJ_ASSERT_NONNULL(process);
  auto appSeed = FleetTrace::scramble(seed + machine * 1000 + ++starts);
  p.app =
      kj::heap<FleetApp>(machine, p.daemon->newBusClient(), shared.orDefault(clock.timer), appSeed, books, options.app);
}

void FleetNode::restartPrograms(const FleetAppOptions& app) {
  options.app = app;
  books.streams.programsEnd(machine);
  KJ_ASSERT_NONNULL(process).app = nullptr;
  startPrograms();
}

void FleetNode::crash(Crash kind) {
  if (!isUp()) return;
  books.trace.note(name, kind == Crash::MACHINE ? "loses power" : "is killed");
  if (clock.isSuspended()) resume(false);
  if (kind == Crash::MACHINE) network.switchOff(name);
  KJ_IF_MAYBE (p, process) {
    p->running = nullptr;
    p->app = nullptr;
    p->daemon = nullptr;
  }
  process = nullptr;
}

void FleetNode::revoke(kj::uint peer, bool isRevoked) {
  if (books.rights.hasRevoked(machine, peer) == isRevoked || peer == machine) return;
  books.trace.note(name, isRevoked ? "trusts no more machine" : "trusts again machine", peer);
  books.rights.revoke(machine, peer, isRevoked);
  if (isRevoked) books.streams.revoked(machine, peer);
  if (isUp()) applyTrust();
}

void FleetNode::applyTrust() {
  kj::Vector<TrustedPeer> peers;
  for (auto& peer : trusted) {
    if (!books.rights.hasRevoked(machine, KJ_ASSERT_NONNULL(machineOf(peer.name)))) peers.add(peer.clone());
  }
  daemon().applyTrust(peers.releaseAsArray());
  wire.touch(machine);
}

void FleetNode::suspend() {
  if (!isUp() || clock.isSuspended()) return;
  books.trace.note(name, "is suspended");
  clock.suspend();
  wire.hold(machine, true);
}

void FleetNode::resume(bool jumps) {
  if (!clock.isSuspended()) return;
  books.trace.note(name, jumps ? "resumes, its clock jumps" : "resumes");
  wire.hold(machine, false);
  clock.resume(jumps);
  network.retryLate();
}

bool FleetNode::isReady(kj::uint peer) {
  if (!isUp()) return false;
  KJ_IF_MAYBE (link, daemon().sessions().findLink(FleetApp::machineName(peer))) {
    return link->state() == idl::SessionState::READY;
  }
  return false;
}

}  // namespace nexus
