#include "tests/sim/fleet-node.h"

#include <kj/debug.h>

#include "idl/config.capnp.h"
#include "libs/nexus-net-os/daemon/config-loader.h"
#include "libs/oslite-frames/bundlemgr-frames.h"
#include "libs/oslite-frames/samgr-frames.h"

namespace nexus {

namespace {

kj::Maybe<FleetRight> rightOf(kj::ArrayPtr<const char> service) {
  for (auto right : {FleetRight::RESOLVE, FleetRight::LIST}) {
    if (fleetService(right).asArray() == service) return right;
  }
  return nullptr;
}

}  // namespace

class FleetNode::Source final : public NetworkSource {
 public:
  explicit Source(FleetNode& node) : node(node) {}
  idl::NetworkManager::Client get() override { return node.network.manager(node.name); }
  kj::Promise<void> whenLost() override { return node.network.whenStackLost(node.name); }

 private:
  FleetNode& node;
};

class FleetNode::Observer final : public BusObserver, public RemoteProxyObserver {
 public:
  explicit Observer(FleetNode& node) : node(node) {}
  void onAuthenticated(kj::StringPtr peer) override {
    node.books.trace.note(node.name, "authenticated", peer);
    KJ_IF_MAYBE (other, FleetApp::machineOf(peer)) node.books.streams.sessionBegan(node.machine, *other);
  }
  void onLive(kj::StringPtr peer) override { node.books.trace.note(node.name, "is live with", peer); }
  void onDecision(const RemoteCaller& caller, kj::ArrayPtr<const char> service, CallStatus status) override {
    KJ_IF_MAYBE (right, rightOf(service)) {
      auto machine = FleetApp::machineOf(caller.name).orDefault(node.books.rights.machines);  // that one may do nothing
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
    return node.backendTime().then([context]() mutable {
      context.getResults().setReply(sm::encodeReply(sm::Op::RESOLVE_STATUS, sm::Status::OK));
    });
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
      entropy(FleetTrace::scramble(seed + machine)),
      chance(FleetTrace::scramble(seed + machine + 500)) {}

FleetNode::~FleetNode() noexcept(false) {
  process = nullptr;
}

BusSettings FleetNode::readSettings(capnp::MallocMessageBuilder& message) {
  auto wrong = loadConfig("fleet.toml", options.toml, "dsoftbusd", capnp::Schema::from<config::Dsoftbusd>(), message);
  KJ_IF_MAYBE (e, wrong) KJ_FAIL_REQUIRE("bad test configuration", e->message);
  auto checked = checkSettings(message.getRoot<config::Dsoftbusd>().asReader(),
                               [](kj::StringPtr) { return SettingsError{kj::str("no files here")}; },
                               {kj::UNIX_EPOCH, kj::origin<kj::TimePoint>()});
  KJ_IF_MAYBE (e, checked.tryGet<SettingsError>()) KJ_FAIL_REQUIRE("bad test configuration", e->sentence);
  return kj::mv(checked.get<BusSettings>());
}

void FleetNode::start() {
  if (isUp()) return;
  books.trace.note(name, "starts");
  network.switchOn(name);
  network.startStack(name);
  capnp::MallocMessageBuilder message;
  auto settings = readSettings(message);
  auto& p = process.emplace();
  p.observer = kj::heap<Observer>(*this);
  p.source = kj::heap<Source>(*this);
  kj::TaskSet::ErrorHandler& failed = *this;
  p.backendWaits = kj::heap<kj::TaskSet>(failed);
  Dsoftbusd::Imports imports{kj::arr<NetworkSource*>(p.source.get()),
                             [this]() -> idl::Samgr::Client { return kj::heap<SamgrStandIn>(*this); },
                             [this]() -> idl::Bundlemgr::Client { return kj::heap<BundlemgrStandIn>(*this); }};
  p.daemon = kj::heap<Dsoftbusd>(kj::mv(settings), kj::mv(imports), timer(), kj::nullClock(), entropy, *p.observer,
                                 *p.observer);
  p.live = kj::heap<LiveConfig>(
      *p.daemon, message.getRoot<config::Dsoftbusd>().asReader(), "fleet.toml",
      LiveConfig::ReadText([this]() -> kj::OneOf<kj::String, SettingsError> { return kj::str(options.toml); }),
      [this](kj::Array<TrustedPeer> peers) { daemon().applyTrust(kj::mv(peers)); },
      [this] { return LoadTime{kj::UNIX_EPOCH + (timer().now() - kj::origin<kj::TimePoint>()), timer().now()}; });
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
    p->live = nullptr;
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
    if (!books.rights.hasRevoked(machine, KJ_ASSERT_NONNULL(FleetApp::machineOf(peer.name)))) peers.add(peer.clone());
  }
  daemon().applyTrust(peers.releaseAsArray());
  wire.touch(machine);
}

// ---- the configuration

void FleetNode::configure(kj::String toml) {
  bool isOther = options.toml != toml;
  options.toml = kj::mv(toml);
  if (!isUp()) return;
  auto result = KJ_ASSERT_NONNULL(process).live->reload();
  books.trace.note(name, "has read its configuration again:", result.sentence);
  // With the same file a reload may still end a dry run.
  bool taken =
      isOther ? result.outcome == LiveConfig::Outcome::APPLIED : result.outcome != LiveConfig::Outcome::REFUSED;
  if (!taken) {
    books.trace.violation(kj::str(name, " does not take a sound configuration: ", result.sentence));
  }
  wire.touch(machine);
}

void FleetNode::refuseFile(kj::StringPtr toml) {
  if (!isUp()) return;
  auto inForce = kj::mv(options.toml);
  options.toml = kj::str(toml);
  auto result = KJ_ASSERT_NONNULL(process).live->reload();
  options.toml = kj::mv(inForce);
  books.trace.note(name, "was given a bad configuration:", result.sentence);
  if (result.outcome != LiveConfig::Outcome::REFUSED) {
    books.trace.violation(kj::str(name, " takes a configuration that it must refuse: ", result.sentence));
  }
  wire.touch(machine);
}

void FleetNode::tryCandidate(kj::Maybe<kj::StringPtr> toml) {
  if (!isUp()) return;
  auto& live = *KJ_ASSERT_NONNULL(process).live;
  auto result = toml.map([&](kj::StringPtr text) { return live.setCandidate(text); }).orDefault([&] {
    return live.dropCandidate();
  });
  books.trace.note(name, "and a candidate:", result.sentence);
  if (result.outcome == LiveConfig::Outcome::REFUSED) {
    books.trace.violation(kj::str(name, " does not take a sound candidate: ", result.sentence));
  }
}

// ---- the stack

void FleetNode::stopStack() {
  if (!hasStack()) return;
  books.trace.note("the stack of", name, "dies");
  network.stopStack(name);
  wire.touch(machine);
}

void FleetNode::startStack() {
  if (hasStack()) return;
  books.trace.note(name, "has a stack again");
  network.startStack(name);
  network.retryLate();
}

// ---- its backends

// A backend answers at once, or later.
kj::Promise<void> FleetNode::backendTime() {
  constexpr kj::Duration LONGEST = 300 * kj::MILLISECONDS;
  if (!isUp() || !options.runsPrograms || chance.next() % 4 != 0) return kj::READY_NOW;
  auto done = kj::newPromiseAndFulfiller<void>();
  auto wait = int64_t(chance.next() % uint64_t(LONGEST / kj::MICROSECONDS)) * kj::MICROSECONDS;
  auto waited = timer().afterDelay(wait).then([f = kj::mv(done.fulfiller)]() mutable { f->fulfill(); });
  KJ_ASSERT_NONNULL(process).backendWaits->add(kj::mv(waited));
  return kj::mv(done.promise);
}

void FleetNode::taskFailed(kj::Exception&& exception) {
  books.trace.violation(kj::str("a backend of ", name, " failed: ", exception.getDescription()));
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
