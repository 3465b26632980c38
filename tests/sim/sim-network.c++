#include "tests/sim/sim-network.h"

#include <capnp/membrane.h>
#include <kj/debug.h>

namespace nexus {

using Action = NetPolicy::Action;
using Kind = ClientQuota::Kind;

namespace {

constexpr kj::uint DEFAULT_BACKLOG = 128, MAX_BACKLOG = 1024;
constexpr kj::Duration CONNECT_RETRY = 250 * kj::MILLISECONDS;
constexpr uint32_t GENERATION = 1;
constexpr size_t MAX_PING = 1400;

// One life of a node's stack: what came of it ends with it.
class StackLife final : public capnp::MembranePolicy, public kj::Refcounted {
 public:
  StackLife() : StackLife(kj::newPromiseAndFulfiller<void>()) {}

  void end() { fulfiller->reject(KJ_EXCEPTION(DISCONNECTED, "the network stack ended")); }
  kj::Promise<void> whenLost() {
    return lost.addBranch().catch_([](kj::Exception&&) {});
  }

  // implements capnp::MembranePolicy ----

  kj::Maybe<capnp::Capability::Client> inboundCall(uint64_t, uint16_t, capnp::Capability::Client) override {
    return nullptr;
  }
  kj::Maybe<capnp::Capability::Client> outboundCall(uint64_t, uint16_t, capnp::Capability::Client) override {
    return nullptr;
  }
  kj::Own<capnp::MembranePolicy> addRef() override { return kj::addRef(*this); }
  kj::Maybe<kj::Promise<void>> onRevoked() override { return lost.addBranch(); }

 private:
  explicit StackLife(kj::PromiseFulfillerPair<void> pair)
      : lost(pair.promise.fork()), fulfiller(kj::mv(pair.fulfiller)) {}

  kj::ForkedPromise<void> lost;
  kj::Own<kj::PromiseFulfiller<void>> fulfiller;
};

}  // namespace

struct SimNetwork::Impl {
  Options options;
  Counters counters;
  sim::UdpCounters udpCounters;
  ClientQuota::Counters quotaCounters;
  sim::TcpPair::Registry connections;
  sim::Fabric fabric;
  std::map<const sim::Node*, kj::Own<StackLife>> stacks;  // of the nodes that have one

  Impl(kj::Timer& timer, Options options) : options(options), fabric(timer, options.latency) {}

  bool isLocal(const sim::Node& node, const IpAddress& address) { return address.isAny() || address == node.address; }
};

class SimNetwork::IcmpEchoImpl final : public idl::IcmpEcho::Server {
 public:
  IcmpEchoImpl(Impl& net, sim::Node& node) : net(net), node(node) {}

  kj::Promise<void> ping(PingContext context) override {
    auto params = context.getParams();
    auto to = IpAddress::fromIdl(params.getTo());
    KJ_REQUIRE(params.getPayload().size() <= MAX_PING, "at most 1400 bytes", params.getPayload().size());
    auto timeout = params.getTimeoutMs() * kj::MILLISECONDS;
    auto roundTrip = 2 * net.options.latency;
    auto& timer = net.fabric.timer;
    KJ_IF_MAYBE (target, net.fabric.findAddress(to)) {
      if (net.fabric.connected(node, *target) && net.fabric.connected(*target, node) && roundTrip <= timeout) {
        co_await timer.afterDelay(roundTrip);
        context.getResults().setOutcome(idl::Outcome::OK);
        context.getResults().setRoundTripUs(roundTrip / kj::MICROSECONDS);
        co_return;
      }
    }
    co_await timer.afterDelay(timeout);
    context.getResults().setOutcome(idl::Outcome::TIMED_OUT);
  }

 private:
  Impl& net;
  sim::Node& node;
};

class SimNetwork::ManagerImpl final : public idl::NetworkManager::Server {
 public:
  ManagerImpl(Impl& net, sim::Node& node, kj::Own<ClientQuota> quota, NetPolicy policy)
      : net(net), node(node), quota(kj::mv(quota)), policy(kj::mv(policy)) {}

  kj::Promise<void> getConfig(GetConfigContext context) override {
    if (context.getParams().getKnown() == GENERATION) return kj::NEVER_DONE;
    auto config = context.getResults().initConfig();
    config.setGeneration(GENERATION);
    auto last = node.address.bytes()[node.address.bytes().size() - 1];
    kj::byte mac[] = {0x52, 0x54, 0, 0x12, 0x34, last};
    config.setMacAddress(kj::arrayPtr(mac, sizeof(mac)));
    config.setLinkUp(true);
    config.setMtu(1500);
    auto address = config.initAddresses(1)[0];
    node.address.toIdl(address.initAddress());
    address.setPrefixLength(node.prefixLength);
    address.setOrigin(idl::NetConfig::Origin::STATIC);
    config.initGateway().setAny();
    quota->limits.toIdl(config.initLimits());
    return kj::READY_NOW;
  }

  kj::Promise<void> createTcpListener(CreateTcpListenerContext context) override {
    auto params = context.getParams();
    auto local = SocketAddress::fromIdl(params.getLocal(), IpAddress::AllowAny::YES);
    kj::Maybe<idl::TcpListener::Client> listener;
    auto outcome = listen(local, params.getBacklog(), listener);
    auto results = context.getResults();
    results.setOutcome(outcome);
    KJ_IF_MAYBE (l, listener) {
      results.setListener(kj::mv(*l));
      local.toIdl(results.initLocal());
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> connectTcp(ConnectTcpContext context) override {
    auto params = context.getParams();
    auto remote = SocketAddress::fromIdl(params.getRemote());
    auto local = SocketAddress::fromIdl(params.getLocal(), IpAddress::AllowAny::YES);
    bool portAllowed = local.port == 0 || policy.allows(Action::LISTEN, local);
    if (!portAllowed || !policy.allows(Action::CONNECT, remote)) return answer(context, denied());
    if (!net.isLocal(node, local.address)) return answer(context, idl::Outcome::ADDRESS_NOT_AVAILABLE);
    return connect(context, remote, local);
  }

  kj::Promise<void> createUdpSocket(CreateUdpSocketContext context) override {
    auto local = SocketAddress::fromIdl(context.getParams().getLocal(), IpAddress::AllowAny::YES);
    if (!policy.allows(Action::UDP_BIND, local)) return answer(context, denied());
    // A group may be bound, as the kernel allows; then only its datagrams are heard.
    if (!net.isLocal(node, local.address)) return answer(context, idl::Outcome::ADDRESS_NOT_AVAILABLE);
    if (local.port == 0) local.port = node.ephemeralPort();
    if (node.udpPorts.count(local.port) > 0) return answer(context, idl::Outcome::ADDRESS_IN_USE);
    auto ticket = quota->take(Kind::UDP_SOCKET);
    auto port =
        kj::refcounted<sim::UdpPort>(net.fabric, net.udpCounters, node, local, quota->limits.udpBacklogDatagrams);
    auto results = context.getResults();
    results.setSocket(sim::newUdpSocket(kj::mv(port), kj::addRef(*quota), kj::mv(ticket), policy));
    local.toIdl(results.initLocal());
    return kj::READY_NOW;
  }

  kj::Promise<void> createIcmpEcho(CreateIcmpEchoContext context) override {
    if (!policy.allowsIcmpEcho()) return answer(context, denied());
    context.getResults().setEcho(kj::heap<IcmpEchoImpl>(net, node));
    return kj::READY_NOW;
  }

  kj::Promise<void> restrict(RestrictContext context) override {
    auto narrowed = policy.restrictedBy(NetPolicy::fromIdl(context.getParams().getPolicy()));
    context.getResults().setManager(kj::heap<ManagerImpl>(net, node, kj::addRef(*quota), kj::mv(narrowed)));
    return kj::READY_NOW;
  }

  kj::Promise<void> listenAuthority(ListenAuthorityContext context) override;

  idl::Outcome listen(SocketAddress& local, kj::uint backlog, kj::Maybe<idl::TcpListener::Client>& listener) {
    if (!policy.allows(Action::LISTEN, local)) return denied();
    if (!net.isLocal(node, local.address)) return idl::Outcome::ADDRESS_NOT_AVAILABLE;
    if (local.port == 0) local.port = node.ephemeralPort();
    if (node.listeners.count(local.port) > 0) return idl::Outcome::ADDRESS_IN_USE;
    auto ticket = quota->take(Kind::TCP_LISTENER);
    backlog = backlog == 0 ? DEFAULT_BACKLOG : kj::min(backlog, MAX_BACKLOG);
    listener = sim::newTcpListener(kj::refcounted<sim::TcpListenerState>(node, local, backlog), kj::addRef(*quota),
                                   kj::mv(ticket));
    return idl::Outcome::OK;
  }

 private:
  Impl& net;
  sim::Node& node;
  kj::Own<ClientQuota> quota;
  NetPolicy policy;

  idl::Outcome denied() {
    net.counters.denied++;
    return idl::Outcome::DENIED;
  }

  template <typename Context>
  kj::Promise<void> answer(Context& context, idl::Outcome outcome) {
    context.getResults().setOutcome(outcome);
    return kj::READY_NOW;
  }

  kj::Promise<void> connect(ConnectTcpContext context, SocketAddress remote, SocketAddress local) {
    auto ticket = quota->take(Kind::TCP_SOCKET);
    net.counters.connects++;
    auto& timer = net.fabric.timer;
    auto maybeTarget = net.fabric.findAddress(remote.address);
    auto deadline = timer.now() + net.options.connectTimeout;
    // A SYN that gets no answer is repeated until the deadline.
    for (;;) {
      co_await timer.afterDelay(net.options.latency);
      KJ_IF_MAYBE (target, maybeTarget) {
        if (!target->isDeaf() && net.fabric.connected(node, *target) && net.fabric.connected(*target, node)) {
          auto found = target->listeners.find(remote.port);
          if (found == target->listeners.end() || !found->second->accepts(remote.address)) {
            co_await timer.afterDelay(net.options.latency);
            net.counters.refused++;
            context.getResults().setOutcome(idl::Outcome::REFUSED);
            co_return;
          }
          if (!found->second->isFull()) {
            local = {node.address, local.port == 0 ? node.ephemeralPort() : local.port};
            auto pair = kj::refcounted<sim::TcpPair>(net.fabric, net.connections, node, local, *target, remote);
            auto socket = sim::newTcpSocket(kj::addRef(*pair), 0, kj::mv(ticket), quota->limits);
            found->second->offer(kj::mv(pair));
            co_await timer.afterDelay(net.options.latency);
            context.getResults().setSocket(kj::mv(socket));
            co_return;
          }
        }
      } else if (!remote.address.isIn(node.address, node.prefixLength)) {
        context.getResults().setOutcome(idl::Outcome::UNREACHABLE);  // no route
        co_return;
      }
      if (timer.now() >= deadline) {
        net.counters.timedOut++;
        context.getResults().setOutcome(idl::Outcome::TIMED_OUT);
        co_return;
      }
      co_await timer.afterDelay(CONNECT_RETRY);
    }
  }
};

class SimNetwork::ListenAuthorityImpl final : public idl::TcpListenAuthority::Server {
 public:
  ListenAuthorityImpl(kj::Own<ManagerImpl> manager, SocketAddress local) : manager(kj::mv(manager)), local(local) {}

  kj::Promise<void> listen(ListenContext context) override {
    kj::Maybe<idl::TcpListener::Client> listener;
    auto results = context.getResults();
    results.setOutcome(manager->listen(local, context.getParams().getBacklog(), listener));
    KJ_IF_MAYBE (l, listener) results.setListener(kj::mv(*l));
    return kj::READY_NOW;
  }

 private:
  kj::Own<ManagerImpl> manager;
  SocketAddress local;
};

kj::Promise<void> SimNetwork::ManagerImpl::listenAuthority(ListenAuthorityContext context) {
  auto local = SocketAddress::fromIdl(context.getParams().getLocal(), IpAddress::AllowAny::YES);
  KJ_REQUIRE(local.port != 0, "an authority is for one port: 0 is none");
  if (!policy.allows(Action::LISTEN, local)) return answer(context, denied());
  if (!net.isLocal(node, local.address)) return answer(context, idl::Outcome::ADDRESS_NOT_AVAILABLE);
  auto own = kj::heap<ManagerImpl>(net, node, kj::addRef(*quota), policy);
  context.getResults().setAuthority(kj::heap<ListenAuthorityImpl>(kj::mv(own), local));
  return kj::READY_NOW;
}

SimNetwork::SimNetwork(kj::Timer& timer, Options options) : impl(kj::heap<Impl>(timer, options)) {}
SimNetwork::~SimNetwork() noexcept(false) = default;

void SimNetwork::addNode(kj::StringPtr name, IpAddress address, kj::byte prefixLength) {
  impl->stacks[&impl->fabric.add(name, address, prefixLength)] = kj::refcounted<StackLife>();
}

idl::NetworkManager::Client SimNetwork::manager(kj::StringPtr node, NetPolicy policy) {
  auto& from = impl->fabric.node(node);
  auto stack = impl->stacks.find(&from);
  if (stack == impl->stacks.end()) return KJ_EXCEPTION(DISCONNECTED, "nobody serves the network stack", node);
  auto quota = kj::refcounted<ClientQuota>(impl->options.limits, impl->quotaCounters);
  idl::NetworkManager::Client all = kj::heap<ManagerImpl>(*impl, from, kj::mv(quota), kj::mv(policy));
  return capnp::membrane(kj::mv(all), kj::addRef(*stack->second));
}

void SimNetwork::tap(kj::Function<void(kj::ArrayPtr<const kj::byte>)> wiretap) {
  impl->fabric.wiretap = kj::mv(wiretap);
}

void SimNetwork::cut(kj::StringPtr node) {
  impl->fabric.cut(impl->fabric.node(node));
}
void SimNetwork::heal(kj::StringPtr node) {
  impl->fabric.heal(impl->fabric.node(node));
}

void SimNetwork::useWire(sim::Wire& wire) {
  impl->fabric.wire = wire;
}

void SimNetwork::retryLate() {
  impl->fabric.retryLate();
}

void SimNetwork::switchOff(kj::StringPtr name) {
  auto& node = impl->fabric.node(name);
  node.down = true;
  for (auto* pair : impl->connections) pair->vanish(node);
}

void SimNetwork::switchOn(kj::StringPtr name) {
  impl->fabric.node(name).down = false;
}

void SimNetwork::stopStack(kj::StringPtr name) {
  auto& node = impl->fabric.node(name);
  auto stack = impl->stacks.find(&node);
  if (stack == impl->stacks.end()) return;
  node.stackless = true;
  for (auto* pair : impl->connections) pair->vanish(node);
  while (!node.listeners.empty()) node.listeners.begin()->second->close();
  while (!node.udpPorts.empty()) node.udpPorts.begin()->second->close();
  stack->second->end();
  impl->stacks.erase(stack);
}

void SimNetwork::startStack(kj::StringPtr name) {
  auto& node = impl->fabric.node(name);
  if (hasStack(name)) return;
  node.stackless = false;
  impl->stacks[&node] = kj::refcounted<StackLife>();
}

bool SimNetwork::hasStack(kj::StringPtr name) {
  return impl->stacks.count(&impl->fabric.node(name)) > 0;
}

kj::Promise<void> SimNetwork::whenStackLost(kj::StringPtr name) {
  auto stack = impl->stacks.find(&impl->fabric.node(name));
  if (stack == impl->stacks.end()) return kj::READY_NOW;
  return stack->second->whenLost();
}

void SimNetwork::killConnections(kj::StringPtr name) {
  auto& node = impl->fabric.node(name);
  for (auto* pair : impl->connections) {
    if (pair->touches(node)) pair->reset();
  }
}

const SimNetwork::Counters& SimNetwork::counters() const {
  return impl->counters;
}
const sim::UdpCounters& SimNetwork::udpCounters() const {
  return impl->udpCounters;
}
uint64_t SimNetwork::datagramsLost() const {
  return impl->fabric.lost;
}
kj::Array<uint64_t> SimNetwork::connectionsBetween(kj::StringPtr a, kj::StringPtr b) {
  auto& nodeA = impl->fabric.node(a);
  auto& nodeB = impl->fabric.node(b);
  kj::Vector<uint64_t> ids;
  for (auto* pair : impl->connections) {
    if (pair->touches(nodeA) && pair->touches(nodeB)) ids.add(pair->number());
  }
  return ids.releaseAsArray();
}
kj::uint SimNetwork::connectionCount() const {
  return impl->connections.size();
}

}  // namespace nexus
