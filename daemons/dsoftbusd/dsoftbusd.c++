#include "daemons/dsoftbusd/dsoftbusd.h"

#include <kj/debug.h>
#include <kj/encoding.h>

#include "daemons/dsoftbusd/pairing/bus-trust-server.h"
#include "daemons/dsoftbusd/remote/package-backend.h"
#include "daemons/dsoftbusd/remote/service-backends.h"
#include "daemons/dsoftbusd/server/dsoftbus-server.h"

namespace nexus {

namespace {

kj::Array<RemoteProxy::Backend> backends(Dsoftbusd::Imports& imports, kj::Timer& timer) {
  kj::Vector<RemoteProxy::Backend> list;
  list.add(RemoteProxy::Backend{"samgrd"_kj, newSamgrBackend(kj::mv(imports.samgr))});
  list.add(RemoteProxy::Backend{"bundlemgrd"_kj, newBundlemgrBackend(timer, kj::mv(imports.bundlemgr))});
  KJ_IF_MAYBE (packagefs, imports.packagefs) {
    list.add(RemoteProxy::Backend{"packagefsd"_kj, kj::heap<PackageBackend>(kj::mv(*packagefs))});
  }
  KJ_IF_MAYBE (statefs, imports.statefs) {
    list.add(RemoteProxy::Backend{"statefsd"_kj, newStatefsBackend(kj::mv(*statefs))});
  }
  return list.releaseAsArray();
}

kj::Array<RpcExporter::Offer> offersOf(const RpcCatalog& catalog,
                                       kj::Function<capnp::Capability::Client(kj::StringPtr)>& import) {
  return KJ_MAP(service, catalog.services()) {
    return RpcExporter::Offer{service, [&] { return import(service.import()); }};
  };
}

kj::Function<capnp::Capability::Client(kj::StringPtr)> namedImports(Dsoftbusd::Imports& imports) {
  KJ_IF_MAYBE (named, imports.named) return kj::mv(*named);
  return [](kj::StringPtr name) -> capnp::Capability::Client {
    return KJ_EXCEPTION(FAILED, "there is no import of that name", name);
  };
}

Announce announceOf(const BusSettings& settings) {
  auto services = KJ_MAP(name, settings.services) {
    return kj::str(name);
  };
  return Announce{kj::str(settings.identity.deviceId()), settings.sessionPort,
                  settings.identity.publicIdentity().staticKey, kj::mv(services), kj::str(settings.mesh)};
}

}  // namespace

Dsoftbusd::Dsoftbusd(BusSettings s, Imports imports, kj::Timer& timer, const kj::Clock& calendar, Entropy& entropy,
                     BusObserver& observer, RemoteProxyObserver& proxyObserver, LinkLimits limits)
    : settings(kj::mv(s)),
      timer(timer),
      started(timer.now()),
      auditLog(timer, AuditLog::DEFAULT_CAPACITY, calendar),
      policy(kj::mv(settings.rules), kj::mv(settings.candidate)),
      rate(settings.ratePerSecond, settings.rateBurst),
      keeper(kj::mv(settings.trust), settings.maxTrustedPeers, imports.trustStore, timer, calendar),
      trust(keeper.merged()),
      proxy(timer, policy, rate, auditLog, proxyObserver, backends(imports, timer)),
      namedImport(namedImports(imports)),
      exporter(timer, proxy, settings.nodeName, offersOf(settings.offers, namedImport)),
      context{settings.identity, timer, entropy, proxy, auditLog, observer, limits, exporter},
      bus(context, trust),
      discovery(timer, kj::mv(settings.discovery), announceOf(settings), settings.links, trust, auditLog, observer,
                [this](kj::StringPtr deviceId, kj::ArrayPtr<const PeerRoute> routes) {
                  bus.setRoutes(deviceId, routes);
                  if (routes.size() > 0 && bus.takeAnswerCredit(deviceId)) discovery.answer(deviceId);
                }),
      pairer(settings.identity, timer, entropy, auditLog, keeper,
             {[this](kj::StringPtr peer) { return findRoute(peer); }, [this] { retrust(); }}) {
  bus.setPairingDoor(pairer);
  KJ_REQUIRE(imports.networks.size() == settings.links.size(), "one network for each link");
  for (auto i : kj::indices(settings.links)) {
    links.add(kj::heap<NodeLink>(i, settings.links[i], *imports.networks[i], settings.sessionPort, timer, bus,
                                 discovery, observer, imports.lowLevel));
  }
  kj::byte boot[8];
  entropy.fill(boot);
  auditLog.setBoot(kj::encodeHex(boot));
}

Dsoftbusd::~Dsoftbusd() noexcept(false) = default;

void Dsoftbusd::warnOfAbsentServices() {
  for (auto& service : remoteServices()) {
    bool named = false;
    for (auto& rule : policy.rules()) named = named || rule.service == service.name;
    if (!named || proxy.serves(service.name)) continue;
    KJ_LOG(WARNING, "rules name a service that this node does not have: its calls are answered backend failed",
           service.name, kj::str("to have it: --import ", service.optionalImport, "=unix:..."));
  }
}

kj::Promise<void> Dsoftbusd::run() {
  warnOfAbsentServices();
  kj::Vector<kj::Promise<void>> running;
  for (auto& link : links) running.add(link->run());
  return kj::joinPromisesFailFast(running.releaseAsArray());
}

Bus::TrustChange Dsoftbusd::applyTrust(kj::Array<TrustedPeer> configured) {
  keeper.configure(kj::mv(configured));
  return retrust();
}

Bus::TrustChange Dsoftbusd::retrust() {
  auto change = bus.applyTrust(keeper.merged());
  discovery.trustChanged();
  KJ_LOG(INFO, "trust table replaced", change.added, change.removed, change.changed, change.kept);
  return change;
}

// Of a node to pair with: an address, or the start of the device id of one that is heard.
kj::Maybe<PairingHost::Route> Dsoftbusd::findRoute(kj::StringPtr peer) {
  auto to = SocketAddress::tryParse(peer);
  KJ_IF_MAYBE (address, IpAddress::tryParse(peer)) to = SocketAddress{*address, settings.sessionPort};
  auto over = bus.anyTransport();
  for (auto* heard : discovery.peers().all()) {
    if (!heard->announce.deviceId.startsWith(peer)) continue;
    to = heard->session();
    over = bus.transport(heard->place().link);
  }
  KJ_IF_MAYBE (address, to) {
    KJ_IF_MAYBE (transport, over) return PairingHost::Route{*transport, *address};
  }
  return nullptr;
}

idl::BusTrust::Client Dsoftbusd::newTrustClient() {
  return newBusTrustServer(trust, keeper, pairer, timer);
}

idl::DSoftBus::Client Dsoftbusd::newBusClient() {
  return newDSoftBusServer(
      bus, discovery, auditLog, timer,
      [this] { return PolicyTable{trust.all(), policy.rules(), policy, &settings.offers, &proxy}; },
      kj::addRef(*clients));
}

// ---- status

class Dsoftbusd::StatusServer final : public idl::Status::Server {
 public:
  explicit StatusServer(Dsoftbusd& daemon) : daemon(daemon) {}
  kj::Promise<void> snapshot(SnapshotContext context) override {
    daemon.fillStatus(context.getResults().initStatus());
    return kj::READY_NOW;
  }

 private:
  Dsoftbusd& daemon;
};

idl::Status::Client Dsoftbusd::newStatusClient() {
  return kj::heap<StatusServer>(*this);
}

namespace {

template <typename Add>
void addCallCounters(const RemoteProxy& proxy, const RpcExporter& exporter, Add&& add) {
  for (uint16_t i = 0; i < CALL_VERDICTS; i++) {
    auto verdict = static_cast<CallStatus>(i);
    static constexpr kj::StringPtr NAMES[] = {
        "proxy.ok"_kj,        "proxy.denied"_kj,          "proxy.malformed"_kj,
        "proxy.oversized"_kj, "proxy.rateLimited"_kj,     "proxy.backendFailed"_kj,
        "proxy.timedOut"_kj,  "proxy.unauthenticated"_kj, "proxy.replyOversized"_kj,
        "proxy.cancelled"_kj, "proxy.refused"_kj};
    add(NAMES[i], proxy.count(verdict));
  }
  add("proxy.streamsOk", proxy.streamCount(CallStatus::OK));
  add("proxy.streamsBusy", proxy.streamCount(CallStatus::RATE_LIMITED));
  add("proxy.streamsBackendFailed", proxy.streamCount(CallStatus::BACKEND_FAILED));
  add("proxy.streamsTimedOut", proxy.streamCount(CallStatus::TIMED_OUT));
  add("proxy.streamsCancelled", proxy.streamCount(CallStatus::CANCELLED));
  auto& r = exporter.counters();
  add("rpc.streams", r.streams), add("rpc.refusedStreams", r.refusedStreams), add("rpc.refusedCalls", r.refusedCalls);
  add("rpc.brokenStreams", r.brokenStreams), add("rpc.withheldAnswers", r.withheldAnswers);
  add("rpc.peersNow", exporter.peersNow());
}

template <typename Add>
void addDiscoveryCounters(Discovery& discovery, Add&& add) {
  auto& d = discovery.counters();
  add("discovery.sent", d.sent), add("discovery.sendFailures", d.sendFailures), add("discovery.received", d.received);
  add("discovery.flooded", d.flooded), add("discovery.malformed", d.malformed), add("discovery.wrongKey", d.wrongKey);
  add("discovery.otherMesh", d.otherMesh), add("discovery.ignoredForgotten", discovery.ignored().forgotten());
  add("discovery.own", d.own), add("discovery.answersDropped", d.answersDropped);
  auto& p = discovery.peers().counters();
  add("discovery.peersEvicted", p.evicted), add("discovery.peersExpired", p.expired);
  add("discovery.peersRefused", p.refused), add("discovery.sourcesForgotten", p.sourcesForgotten);
  add("discovery.peersNow", discovery.peers().size());
}

uint64_t liveSessions(Bus& bus) {
  uint64_t live = 0;
  for (auto& link : bus.links()) live += link->state() == idl::SessionState::READY ? 1 : 0;
  return live;
}

template <typename Add>
void addSessionCounters(Bus& bus, Add&& add) {
  auto& b = bus.counters();
  auto& h = bus.halfOpenCounters();
  add("session.accepted", b.accepted), add("session.refusedHalfOpen", b.refusedHalfOpen);
  add("session.refusedTotal", h.refusedTotal), add("session.refusedSource", h.refusedSource);
  add("session.refusedRate", h.refusedRate), add("session.placesTaken", h.taken);
  add("session.halfOpenNow", bus.halfOpenCount());
  add("session.handshakeFailures", b.handshakeFailures), add("session.strangers", b.strangers);
  add("session.revoked", b.revoked), add("session.gracesEnded", b.gracesEnded);
  uint64_t dials = 0, dialFailures = 0, doubts = 0, secondDials = 0, replaced = 0;
  for (auto& link : bus.links()) {
    dials += link->counters().dials, dialFailures += link->counters().dialFailures;
    doubts += link->doubts().doubts, secondDials += link->doubts().dials, replaced += link->doubts().chosen;
  }
  add("session.dials", dials), add("session.dialFailures", dialFailures), add("session.liveNow", liveSessions(bus));
  add("session.doubts", doubts), add("session.secondDials", secondDials), add("session.replaced", replaced);
}

}  // namespace

template <typename Add>
void Dsoftbusd::addAllCounters(Add&& add) {
  addDiscoveryCounters(discovery, add);
  addSessionCounters(bus, add);
  auto& pairing = pairer.counters();
  add("pairing.refused", bus.counters().pairingRefused), add("pairing.windows", pairing.windows);
  add("pairing.codes", pairing.codes), add("pairing.paired", pairing.paired), add("pairing.unpaired", pairing.unpaired);
  add("pairing.rekeyed", pairing.rekeyed);
  add("trust.peersNow", trust.all().size());
  addCallCounters(proxy, exporter, add);
  add("client.sessionsNow", clients->sessions), add("client.sessionsRefused", clients->refusedSessions);
  add("client.registrationsNow", clients->registrations);
  add("client.registrationsRefused", clients->refusedRegistrations);
  add("client.streamsResumed", clients->streamsResumed);
  add("audit.dropped", auditLog.droppedCount()), add("audit.unlogged", auditLog.unloggedCount());
  auto& dry = policy.counters();
  add("policy.generationNow", policy.generation()), add("policy.dryRunNow", policy.candidate() != nullptr);
  add("policy.wouldAllow", dry.wouldAllow), add("policy.wouldDeny", dry.wouldDeny);
  for (auto& more : moreCounters) more(add);
  uint64_t opened = 0, up = 0;
  for (auto& link : links) opened += link->opened(), up += link->isUp() ? 1 : 0;
  add("stack.opened", opened), add("stack.upNow", up);
}

void Dsoftbusd::fillStatus(idl::DaemonStatus::Builder status) {
  status.setDaemon("dsoftbusd");
  bool allUp = true;
  auto states = KJ_MAP(link, links) {
    allUp &= link->isUp();
    auto way = link->isUp() ? kj::str(", discovery by ", discovery.wayInUse(&link - links.begin())) : kj::String();
    return kj::str(link->name(), " ", link->state(), way);
  };
  status.setHealth(allUp ? idl::DaemonStatus::Health::UP : idl::DaemonStatus::Health::DEGRADED);
  status.setDetail(kj::str(settings.nodeName, ": ", kj::strArray(states, "; "), "; ", liveSessions(bus),
                           " live sessions; policy ", policy.candidate() == nullptr ? "enforce" : "dry-run", " v",
                           policy.generation()));
  status.setUptimeMs((timer.now() - started) / kj::MILLISECONDS);
  kj::Vector<kj::Tuple<kj::StringPtr, uint64_t>> counters;
  addAllCounters([&](kj::StringPtr name, uint64_t value) { counters.add(kj::tuple(name, value)); });
  auto list = status.initCounters(counters.size());
  for (auto i : kj::indices(counters)) {
    list[i].setName(kj::get<0>(counters[i]));
    list[i].setValue(kj::get<1>(counters[i]));
  }
}

}  // namespace nexus
