#pragma once
// For tests: nodes with a bus of their own on a network in memory, without discovery. Addresses are told by the test.
#include <kj/encoding.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/bus/bus-client.h"
#include "daemons/dsoftbusd/bus/bus.h"
#include "daemons/dsoftbusd/transport/net-transport.h"
#include "libs/nexus-net-os/testing/fixed-entropy.h"
#include "libs/nexus-net-os/testing/sim-clock.h"
#include "tests/sim/sim-network.h"

namespace nexus {

// A backend that answers every frame with the same bytes.
class FixedBackend final : public ServiceBackend {
 public:
  explicit FixedBackend(kj::StringPtr replyHex) : reply(kj::decodeHex(replyHex)) {}
  kj::Promise<kj::Array<kj::byte>> call(const RemoteCaller& caller, kj::Array<kj::byte>) override {
    callers.add(kj::str(caller.name, " ", caller.deviceId));
    return kj::heapArray(reply.asPtr());
  }
  void endSession(kj::StringPtr peer) override { ended.add(kj::str(peer)); }

  kj::Vector<kj::String> callers;  // name and device id of each call
  kj::Vector<kj::String> ended;

 private:
  kj::Array<kj::byte> reply;
};

inline constexpr auto RESOLVE_REPLY_HEX =
    "534d01860000000000000000"
    "00"_kj;
inline constexpr auto LIST_REPLY_HEX = "424e018100020000"_kj;

inline kj::Array<kj::byte> resolveFrame() {
  return kj::decodeHex("534d01060a62756e646c656d677264"_kj);
}
inline kj::Array<kj::byte> listFrame() {
  return kj::decodeHex("424e0101"_kj);
}

class CountingBusObserver final : public BusObserver {
 public:
  kj::Vector<kj::String> authenticated, live;
  void onAuthenticated(kj::StringPtr peer) override { authenticated.add(kj::str(peer)); }
  void onLive(kj::StringPtr peer) override { live.add(kj::str(peer)); }
};

// One node: its keys, its table, its proxy, its bus.
class BusNode {
 public:
  static constexpr uint16_t PORT = 34567;

  BusNode(SimClock& sim, SimNetwork& network, kj::StringPtr name, IpAddress address,
          kj::ArrayPtr<const kj::StringPtr> trusted, LinkLimits limits = {})
      : sim(sim), network(network), name(kj::str(name)), address(address), own(DeviceIdentity::forTest(name)) {
    kj::Vector<TrustedPeer> peers;
    for (auto peer : trusted) {
      peers.add(TrustedPeer{kj::str(peer), DeviceIdentity::forTest(peer).publicIdentity()});
      rules.add(PolicyRule{kj::str(peer), kj::str("samgrd"), kj::arr(kj::str("resolve-status"))});
      rules.add(PolicyRule{kj::str(peer), kj::str("bundlemgrd"), kj::arr(kj::str("list"))});
      for (auto stream : {"control"_kj, "priority"_kj, "bulk"_kj, "pressure"_kj}) {
        rules.add(PolicyRule{kj::str(peer), kj::str("stream:selftest/", stream), kj::arr(kj::str("open"))});
      }
      for (int i = 0; i < 130; i++) {
        rules.add(PolicyRule{kj::str(peer), kj::str("stream:test/", i), kj::arr(kj::str("open"))});
      }
    }
    trust = TrustTable(peers.releaseAsArray());
    auto backends = kj::heapArrayBuilder<RemoteProxy::Backend>(2);
    auto samgr = kj::heap<FixedBackend>(RESOLVE_REPLY_HEX);
    samgrd = samgr.get();
    backends.add(RemoteProxy::Backend{"samgrd"_kj, kj::mv(samgr)});
    backends.add(RemoteProxy::Backend{"bundlemgrd"_kj, kj::heap<FixedBackend>(LIST_REPLY_HEX)});
    policy = kj::heap<LivePolicy>(cloneRules(rules));
    proxy = kj::heap<RemoteProxy>(sim.timer, *policy, rate, audit, proxyObserver, backends.finish());
    context = kj::heap<LinkContext>(LinkContext{own, sim.timer, entropy, *proxy, audit, observer, limits});
    start();
  }

  // The entry of a peer that has the test identity of that text.
  static TrustedPeer entry(kj::StringPtr peer, kj::StringPtr identity) {
    return {kj::str(peer), DeviceIdentity::forTest(identity).publicIdentity()};
  }

  // A fresh bus on the same address, as after a restart of the process.
  void start() {
    bus = kj::heap<Bus>(*context, trust);
    manager.emplace(network.manager(name));
    auto request = KJ_ASSERT_NONNULL(manager).createTcpListenerRequest();
    request.getLocal().getAddress().setAny();
    request.getLocal().setPort(PORT);
    auto response = sim.run(request.send());
    KJ_ASSERT(response.getOutcome() == idl::Outcome::OK);
    acceptor = newNetAcceptor(response.getListener());
    transport = newNetTransport(KJ_ASSERT_NONNULL(manager));
    bus->setTransport(0, *transport);
    accepting = bus->acceptLoop(*acceptor).eagerlyEvaluate([](kj::Exception&&) {});
  }

  void stop() {
    accepting = nullptr;
    bus = nullptr;
    acceptor = nullptr;
    transport = nullptr;
    manager = nullptr;
  }

  SocketAddress socketAddress() const { return {address, PORT}; }
  void knows(BusNode& other) {
    PeerRoute route{0, other.socketAddress()};
    bus->setRoutes(other.own.deviceId(), kj::arrayPtr(&route, 1));
  }
  PeerLink& link(kj::StringPtr peer) { return KJ_ASSERT_NONNULL(bus->findLink(peer)); }
  kj::Own<Session> session(kj::StringPtr peer) {
    return KJ_ASSERT_NONNULL(link(peer).session(), "no live session", link(peer).reason());
  }

  RemoteReply call(kj::StringPtr peer, kj::StringPtr service, kj::ArrayPtr<const kj::byte> frame) {
    return sim.run(session(peer)->call(service.asArray(), frame));
  }

  AuditEntry lastAudit() {
    AuditEntry last;
    audit.forEachAfter(0, [&](const AuditEntry& e) {
      last = AuditEntry{e.id,      e.time,        kj::str(e.peer), kj::str(e.service), kj::str(e.operation),
                        e.verdict, e.requestBytes};
    });
    return last;
  }

  SimClock& sim;
  SimNetwork& network;
  kj::String name;
  IpAddress address;
  DeviceIdentity own;
  FixedEntropy entropy{7};
  TrustTable trust;
  kj::Vector<PolicyRule> rules;
  kj::Own<LivePolicy> policy;
  AuditLog audit{sim.timer};
  RateLimiter rate{50, 100};
  RemoteProxyObserver proxyObserver;
  CountingBusObserver observer;
  FixedBackend* samgrd = nullptr;  // of the proxy
  kj::Own<RemoteProxy> proxy;
  kj::Own<LinkContext> context;
  kj::Own<Bus> bus;
  kj::Maybe<idl::NetworkManager::Client> manager;
  kj::Own<Acceptor> acceptor;
  kj::Own<Transport> transport;
  kj::Promise<void> accepting = nullptr;
};

}  // namespace nexus
