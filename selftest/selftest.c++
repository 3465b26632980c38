#include "selftest/selftest.h"

#include <kj/debug.h>
#include <unistd.h>

#include "libs/nexus-net-os/daemon/status-channel.h"
#include "selftest/restart-step.h"
#include "selftest/service-steps.h"
#include "selftest/traffic.h"

namespace nexus {

namespace {

// Retries are bounded; a step that waits for something to happen by itself has a deadline of its own.
constexpr kj::Duration ATTEMPTS_LIMIT = 4 * kj::SECONDS;
constexpr kj::Duration ATTEMPTS_INTERVAL = 200 * kj::MILLISECONDS;
constexpr kj::Duration ATTEMPTS_DEADLINE = ATTEMPTS_LIMIT + 2 * kj::SECONDS;
constexpr kj::Duration IFACE_DEADLINE = 15 * kj::SECONDS;
constexpr kj::Duration SESSION_DEADLINE = 30 * kj::SECONDS;  // until the peer's machine has booted and is found
constexpr kj::Duration RESTART_DEADLINE = 30 * kj::SECONDS;
constexpr kj::Duration PEER_DEADLINE = 60 * kj::SECONDS;  // until the other node has done all it has to do
constexpr kj::Duration MUX_DEADLINE = 10 * kj::SECONDS;   // of one step
constexpr uint16_t BUS_PORT_A = 34567;

template <typename... Ends>
kj::Array<kj::Own<MuxSteps>> muxEnds(Ends&&... ends) {
  auto all = kj::heapArrayBuilder<kj::Own<MuxSteps>>(sizeof...(ends));
  (all.add(kj::mv(ends)), ...);
  return all.finish();
}

}  // namespace

const Selftest::MuxMarkers Selftest::CROSSVM_MUX{marker::BUS_MUX_CROSSVM_UP,
                                                 marker::BUS_MUX_CROSSVM_DATA,
                                                 marker::SELFTEST_MUX_CROSSVM_PRI,
                                                 marker::SELFTEST_MUX_CROSSVM_BULK,
                                                 marker::SELFTEST_MUX_CROSSVM_BACKPRESSURE,
                                                 marker::BUS_MUX_CROSSVM_FAIL};
const Selftest::MuxMarkers Selftest::LOCAL_MUX{marker::BUS_MUX_UP,
                                               marker::BUS_MUX_DATA,
                                               marker::SELFTEST_MUX_PRI,
                                               marker::SELFTEST_MUX_BULK,
                                               marker::SELFTEST_MUX_BACKPRESSURE,
                                               marker::BUS_MUX_FAIL};

Selftest::Selftest(DaemonContext& context, config::Selftest::Reader config)
    : context(context),
      config(config),
      net([this] { return get<idl::NetworkManager>("net"); }, context.entropy()),
      bus([this] { return get<idl::NetworkManager>("net"); }, [this] { return get<idl::DSoftBus>("bus"); },
          context.timer(), context.entropy()),
      runner(context.timer(), *this, config.getScale()) {}

kj::Promise<kj::uint> Selftest::run() {
  switch (config.getProfile()) {
    case config::Selftest::Profile::QEMU_TEST:
      co_await runQemuTest();
      break;
    case config::Selftest::Profile::OS2VM:
      if (config.getNode() == "a") co_await runInitiator("node-b");
      if (config.getNode() == "b") co_await runAcceptor("node-a");
      break;
  }
  co_return runner.failures();
}

kj::Promise<bool> Selftest::attempts(const Marker& marker, StepRunner::Body body) {
  return runner.step(marker, ATTEMPTS_DEADLINE, [this, body = kj::mv(body)]() mutable {
    return runner.retry(ATTEMPTS_LIMIT, ATTEMPTS_INTERVAL, [&body] { return body(); });
  });
}

// Waits as long as the network may take to come up; a netstackd that is started again meanwhile is asked again.
kj::Promise<bool> Selftest::iface() {
  return runner.step(marker::SELFTEST_NET_IFACE, IFACE_DEADLINE, [this] {
    return runner.retry(IFACE_DEADLINE, ATTEMPTS_INTERVAL, [this] { return net.iface(); });
  });
}

kj::Promise<void> Selftest::runQemuTest() {
  auto samgr = [this] { return get<idl::Samgr>("samgr"); };
  auto bundlemgr = [this] { return get<idl::Bundlemgr>("bundlemgr"); };
  co_await iface();
  co_await attempts(marker::SELFTEST_NET_PING, [this] { return net.gatewayPing(); });
  co_await attempts(marker::SELFTEST_NET_UDP_DNS, [this] { return net.udpDns(config.getDnsPort()); });
  co_await attempts(marker::SELFTEST_NET_TCP_LISTEN, [this] { return net.tcpListen(); });
  co_await attempts(marker::SELFTEST_ICMP_PING, [this] { return net.icmpPing(); });

  co_await attempts(marker::SELFTEST_SAMGRD_REGISTER, [&] { return samgrRegister(samgr()); });
  co_await attempts(marker::SELFTEST_SAMGRD_LOOKUP, [&] { return samgrLookup(samgr()); });
  co_await attempts(marker::SELFTEST_SAMGRD_UNKNOWN, [&] { return samgrUnknown(samgr()); });
  co_await attempts(marker::SELFTEST_SAMGRD_MALFORMED, [&] { return samgrMalformed(samgr()); });
  co_await attempts(marker::SELFTEST_BUNDLEMGRD_LIST, [&] { return bundlemgrList(bundlemgr()); });
  co_await attempts(marker::SELFTEST_BUNDLEMGRD_IMAGE, [&] { return bundlemgrImage(bundlemgr()); });
  co_await attempts(marker::SELFTEST_BUNDLEMGRD_MALFORMED, [&] { return bundlemgrMalformed(bundlemgr()); });

  co_await attempts(marker::SELFTEST_BUS_CONNECT,
                    [this] { return bus.connect("node-a", SocketAddress{net.address(), BUS_PORT_A}); });
  co_await attempts(marker::SELFTEST_BUS_PING, [this] { return bus.ping(); });
  co_await mux(muxEnds(newMuxInitiator([this] { return get<idl::DSoftBus>("bus"); }, "node-b"),
                       newMuxResponder([this] { return get<idl::DSoftBus>("bus-b"); }, "node-a")),
               LOCAL_MUX);
  co_await runner.step(marker::SELFTEST_DRIVER_RESTART, RESTART_DEADLINE, [this] {
    return driverRestart(get<idl::NetworkManager>("net"), get<idl::Supervisor>("supervisor"),
                         SocketAddress{net.gateway(), config.getTcpPort()});
  });
  co_await end();
}

// Both ends' steps run in one order. After one that failed they are not in step any more, so the rest is left out.
kj::Promise<void> Selftest::mux(kj::Array<kj::Own<MuxSteps>> ends, const MuxMarkers& markers) {
  struct {
    const Marker& marker;
    kj::Promise<void> (MuxSteps::*body)();
  } const REST[] = {{markers.data, &MuxSteps::data},
                    {markers.priority, &MuxSteps::priority},
                    {markers.bulk, &MuxSteps::bulk},
                    {markers.backpressure, &MuxSteps::backpressure}};
  auto all = [&ends](kj::Promise<void> (MuxSteps::*body)()) {
    return kj::joinPromisesFailFast(KJ_MAP(end, ends) { return ((*end).*body)(); });
  };
  alsoFails = markers.fail;
  KJ_DEFER(alsoFails = nullptr);
  bool good = co_await runner.step(markers.up, SESSION_DEADLINE + ATTEMPTS_DEADLINE, [this, &all] {
    return runner.retry(SESSION_DEADLINE, ATTEMPTS_INTERVAL, [&all] { return all(&MuxSteps::open); });
  });
  for (auto& row : REST) {
    if (!good) co_return;
    good = co_await runner.step(row.marker, MUX_DEADLINE, [&all, &row] { return all(row.body); });
  }
}

kj::Promise<void> Selftest::remoteFiles(kj::StringPtr peer) {
  RemoteSteps files([this, peer](kj::StringPtr service, kj::Array<kj::byte> frame) {
    return bus.reply(peer, service, kj::mv(frame));
  });
  co_await attempts(marker::SELFTEST_REMOTE_STATEFS, [&] { return files.statefs(); });
  co_await attempts(marker::SELFTEST_REMOTE_PKGFS_STAT, [&] { return files.packageStat(); });
  co_await attempts(marker::SELFTEST_REMOTE_PKGFS_OPEN, [&] { return files.packageOpen(); });
  co_await attempts(marker::SELFTEST_REMOTE_PKGFS_READ_STEP, [&] { return files.packageRead(); });
  co_await attempts(marker::SELFTEST_REMOTE_PKGFS_CLOSE, [&] { return files.packageClose(); });
  co_await attempts(marker::SELFTEST_REMOTE_PKGFS_READ, [&] { return files.packageFlow(); });
}

kj::Promise<void> Selftest::runInitiator(kj::StringPtr peer) {
  co_await iface();
  co_await mux(muxEnds(newMuxInitiator([this] { return get<idl::DSoftBus>("bus"); }, peer)), CROSSVM_MUX);
  co_await runner.step(marker::SELFTEST_REMOTE_RESOLVE, SESSION_DEADLINE + ATTEMPTS_DEADLINE, [this, peer] {
    return runner.retry(SESSION_DEADLINE, ATTEMPTS_INTERVAL, [this, peer] { return bus.waitForSession(peer); })
        .then([this, peer] {
          return runner.retry(ATTEMPTS_LIMIT, ATTEMPTS_INTERVAL, [this, peer] { return bus.remoteResolve(peer); });
        });
  });
  co_await attempts(marker::SELFTEST_REMOTE_QUERY, [this, peer] { return bus.remoteQuery(peer); });
  co_await remoteFiles(peer);
  co_await attempts(marker::SELFTEST_REMOTE_RPC, [this, peer] { return bus.remoteRpc(peer); });
  co_await attempts(marker::SELFTEST_REMOTE_DENIED, [this, peer] { return bus.remoteDenied(peer); });
  co_await keepTrafficUp("node-a", peer);
  co_await end();
}

// Serves, and goes on when its own audit log says that the other node has done its part.
kj::Promise<void> Selftest::runAcceptor(kj::StringPtr peer) {
  co_await iface();
  co_await mux(muxEnds(newMuxResponder([this] { return get<idl::DSoftBus>("bus"); }, peer)), CROSSVM_MUX);
  co_await runner.step(marker::SELFTEST_REMOTE_SEEN, PEER_DEADLINE, [this, peer] {
    return runner.retry(PEER_DEADLINE, ATTEMPTS_INTERVAL, [this, peer] { return bus.sawPeersCalls(peer); });
  });
  co_await keepTrafficUp("node-b", peer);
  co_await end();
}

kj::Promise<void> Selftest::end() {
  return passed(marker::SELFTEST_END, nullptr);
}

// When the harness asks for it: traffic until it orders the end.
kj::Promise<void> Selftest::keepTrafficUp(kj::StringPtr own, kj::StringPtr peer) {
  if (!config.getTraffic()) co_return;
  Traffic traffic(
      own, peer, [this] { return get<idl::DSoftBus>("bus"); }, [this] { return get<idl::Supervisor>("supervisor"); },
      context.timer(),
      [this](const StatusTraffic& soak) {
        return runner.verdict(marker::SELFTEST_SOAK, soakFault(soak), trafficText(soak)).ignoreResult();
      });
  co_await traffic.run();
  auto& result = traffic.result();
  if (result.events() == 0) co_return;
  kj::Maybe<kj::String> fault;
  KJ_IF_MAYBE (event, result.pending()) fault = kj::str("the traffic is not whole again after event ", *event);
  co_await runner.verdict(marker::SELFTEST_CHAOS, kj::mv(fault), trafficText(result.total()));
}

// implements StepSink ----------------------------------------

kj::Promise<void> Selftest::passed(const Marker& marker, kj::StringPtr detail) {
  emitMarker(marker, detail.size() > 0 ? kj::str(" (", detail, ')') : kj::String());
  return report(marker, true, kj::str(detail));
}

kj::Promise<void> Selftest::failed(const Marker& marker, kj::StringPtr reason) {
  KJ_IF_MAYBE (negative, alsoFails) emitMarker(*negative, failDetail(reason));
  auto line = kj::str(failLine(marker, reason), '\n');
  (void)!write(STDOUT_FILENO, line.begin(), line.size());
  return report(marker, false, kj::str(reason));
}

// A marker that is no step ("SELFTEST: end") has no name on the status channel.
kj::Promise<void> Selftest::report(const Marker& marker, bool ok, kj::String detail) {
  auto name = stepName(marker.text);
  if (name == nullptr) co_return;
  auto request = get<idl::Supervisor>("supervisor").reportRequest();
  request.setStep(KJ_ASSERT_NONNULL(name));
  request.setOk(ok);
  request.setDetail(detail);
  co_await request.send();
}

}  // namespace nexus
