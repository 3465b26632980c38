#include "daemons/netstackd/netstackd.h"

#include <kj/debug.h>

#include "daemons/netstackd/network-manager.h"
#include "libs/nexus-net-os/daemon/sandbox.h"
#include "libs/nexus-net-os/frame/ring-port.h"
#include "libs/nexus-net-os/rpc/socket-pair.h"

namespace nexus {

Netstackd::Netstackd(Surroundings surroundings, NetstackdSettings settings, FramePort& port,
                     kj::Promise<void> linkReady)
    : around(kj::mv(surroundings)),
      settings(kj::mv(settings)),
      port(port),
      started(around.timer.now()),
      ready(linkReady.then([this] { makeStack(); }).fork()) {}

Netstackd::~Netstackd() noexcept(false) = default;

void Netstackd::makeStack() {
  auto& s = *stack.emplace(kj::heap<LwipStack>(around.timer, around.entropy, port));
  theNode = kj::refcounted<NetNode>(s, around.lowLevel, settings.limits);
}

kj::Promise<void> Netstackd::run() {
  co_await ready.addBranch();
  auto up =
      configure().then([this] { return proveFacade(); }).then([]() -> kj::Promise<void> { return kj::NEVER_DONE; });
  co_await kj::joinPromisesFailFast(kj::arr(KJ_ASSERT_NONNULL(stack)->runLoop(), kj::mv(up)));
}

idl::NetworkManager::Client Netstackd::newManager(NetPolicy policy) {
  KJ_IF_MAYBE (n, theNode) return newNetworkManager(**n, kj::mv(policy));
  return ready.addBranch().then([this, policy = kj::mv(policy)]() mutable -> idl::NetworkManager::Client {
    return newNetworkManager(*KJ_ASSERT_NONNULL(theNode), kj::mv(policy));
  });
}

idl::Status::Client Netstackd::newStatus() {
  return kj::heap<NetStatus>(
      around.timer, started, [this] { return node(); }, [this] { return around.linkCounters(); });
}

kj::Maybe<NetNode&> Netstackd::node() {
  return theNode.map([](kj::Own<NetNode>& n) -> NetNode& { return *n; });
}

kj::Promise<void> Netstackd::configure() {
  auto& s = *KJ_ASSERT_NONNULL(stack);
  KJ_IF_MAYBE (fixed, settings.fixed) {
    s.setIpv4(*fixed, idl::NetConfig::Origin::STATIC);
  } else {
    auto& client = *dhcp.emplace(kj::heap<DhcpClient>(s, settings.dhcpTimeout));
    KJ_ASSERT_NONNULL(theNode)->dhcp = client;
    auto configured = co_await client.configure();
    auto network = kj::str(configured.config.address, '/', configured.config.prefixLength);
    if (configured.origin == idl::NetConfig::Origin::DHCP) {
      auto gateway = configured.config.gateway.isAny() ? kj::str("none") : kj::str(configured.config.gateway);
      around.mark(marker::NET_DHCP_BOUND, kj::str(' ', network, " gw=", gateway));
    } else {
      around.mark(marker::NET_DHCP_FALLBACK, kj::str(' ', network, ')'));
    }
  }
  co_await announceInterface();
}

kj::Promise<void> Netstackd::announceInterface() {
  auto& s = *KJ_ASSERT_NONNULL(stack);
  for (;;) {
    auto generation = s.generation();
    auto ipv4 = s.ipv4();
    KJ_IF_MAYBE (v4, ipv4) {
      if (s.linkState().up) {
        around.mark(marker::NET_LWIP_IFACE_UP, kj::str(' ', v4->address));
        co_return;
      }
    }
    co_await s.whenChanged(generation);
  }
}

// Asks as a client would, through a socket of the kernel's.
kj::Promise<void> Netstackd::proveFacade() {
  KJ_IF_MAYBE (lowLevel, around.lowLevel) {
    auto pair = newSocketPair();
    // A manager that is allowed nothing may still ask for the configuration.
    CapServer server([this](const PeerCredentials&) -> capnp::Capability::Client { return newManager(NetPolicy()); });
    server.accept(lowLevel->wrapUnixSocketFd(kj::mv(pair.ends[0])));
    CapConnection client(lowLevel->wrapUnixSocketFd(kj::mv(pair.ends[1])));
    auto answer = co_await client.bootstrap().castAs<idl::NetworkManager>().getConfigRequest().send();
    KJ_ASSERT(answer.getConfig().getAddresses().size() > 0, "the stack reports no address");
    around.mark(marker::NETSTACKD_FACADE_UP, nullptr);
  }
}

namespace {

NetstackdSettings settingsOf(config::Netstackd::Reader config) {
  return readSettings([&] { return NetstackdSettings::fromConfig(config); });
}

}  // namespace

void checkNetstackd(config::Netstackd::Reader config) {
  settingsOf(config);
}

kj::Promise<void> runNetstackd(DaemonContext& context, config::Netstackd::Reader config) {
  auto settings = settingsOf(config);
  auto& nic = context.import("nic");
  if (settings.sandbox) enterSandbox(SandboxProfile::STACK);

  RingPort port(nic, context.io().unixEventPort, context.timer());
  auto linkCounters = [&port] {
    auto& c = port.counters();
    return kj::heapArray<NetStatus::Counter>({{"rxFrames", c.received},
                                              {"txFrames", c.transmitted},
                                              {"txDroppedAway", c.droppedAway},
                                              {"txDroppedFull", c.droppedFull},
                                              {"txDroppedSize", c.droppedSize},
                                              {"attached", c.attached},
                                              {"attachFailed", c.failed},
                                              {"attachmentsLost", c.lost}});
  };
  kj::Vector<NetstackdSettings::Export> exports = kj::mv(settings.exports);
  Netstackd daemon(
      {context.timer(), context.entropy(), *context.io().lowLevelProvider, emitMarker, kj::mv(linkCounters)},
      kj::mv(settings), port, port.attach());

  context.serve("net", [&](const PeerCredentials&) -> capnp::Capability::Client {
    return daemon.newManager(NetPolicy::allowEverything());
  });
  context.serve("status-netstackd",
                [&](const PeerCredentials&) -> capnp::Capability::Client { return daemon.newStatus(); });
  for (auto& item : exports) {
    bool given =
        context.serve(item.name, [&daemon, &policy = item.policy](const PeerCredentials&) -> capnp::Capability::Client {
          return daemon.newManager(policy);
        });
    if (!given) KJ_LOG(WARNING, "a configured export has no socket: nobody can use it", item.name);
  }
  emitMarker(marker::NETSTACKD_READY);
  co_await daemon.run();
}

}  // namespace nexus
